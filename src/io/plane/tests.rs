//! The plane driven by hand, on a virtual clock.

mod documents;
mod marks;
mod rig;
#[cfg(feature = "testing")]
mod slots;
#[cfg(feature = "net")]
mod tokio_driver;
