//! Being told to stop: answers end properly, or with an error that says so.
