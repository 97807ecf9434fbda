//! What holds for the program as a whole: real processes, real guests, real clients.

mod arrows;
mod host;
mod refusals;
mod servers;
