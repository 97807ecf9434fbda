//! What is read and written here, held against the programs that others use for it.

mod iso;
mod qcow2;
