//! What goes out, and where to: the login, headers, redirects, what clients are told.
