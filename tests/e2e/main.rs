//! The real binary, a fake platform, a fake model: what a person sees.

mod answered;
mod deployed;
mod journey;
mod pages;
mod pairing;
mod private;
mod refused;
mod secrets;
