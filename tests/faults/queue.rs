//! More requests than may be under way: they wait in line, and are told when the line is full.
