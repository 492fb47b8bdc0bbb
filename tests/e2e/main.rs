//! The real binary, a fake platform, a fake model: what a person sees.

mod answered;
