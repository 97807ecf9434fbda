//! What holds for the program as a whole.

mod arrows;
