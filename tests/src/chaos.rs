//! Faults, load during them, and the judgement of what became of each message.

pub mod clock;
pub mod fault;
pub mod judge;
pub mod load;
pub mod report;
pub mod round;
pub mod run;
pub mod schedule;
pub mod system;
pub mod table;
