//! Calls that fail before anything of the answer went out are sent again, within limits.
