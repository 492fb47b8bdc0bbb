//! Whatever is killed, stopped, cut, refused or full: nothing lost, nothing out of order, nothing twice.

mod cron;
mod disk;
mod killed;
mod mount;
mod power;
mod table;
mod webhook;
