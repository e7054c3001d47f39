//! One request's panic, one answer's failure: nobody else's.
