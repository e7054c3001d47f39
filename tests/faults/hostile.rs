//! A backend that breaks every rule: bounded memory and a proper error each time.
