//! The three markets against a scripted server.
