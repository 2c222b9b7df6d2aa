//! Steps that a model breaks, to show that each is needed: every room names its own. Outside the models
//! [`injected`] is a constant `false`.

#[cfg(all(test, tickcache_model))]
mod injection {
    use std::any::Any;
    use std::cell::RefCell;

    // The threads of a model are coroutines of the one thread that explores it.
    std::thread_local! {
        static FAULT: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    }

    /// Runs `model` with one step broken.
    pub(crate) fn inject<F: Any>(fault: F, model: impl FnOnce()) {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                FAULT.set(None);
            }
        }
        let _reset = Reset;
        FAULT.set(Some(Box::new(fault)));
        model();
    }

    pub(crate) fn injected<F: Any + PartialEq>(fault: F) -> bool {
        FAULT.with_borrow(|broken| {
            let broken = broken.as_ref().and_then(|broken| broken.downcast_ref());
            broken == Some(&fault)
        })
    }
}

#[cfg(all(test, tickcache_model))]
pub(crate) use injection::{inject, injected};

/// Whether a model wants this step broken.
#[cfg(not(all(test, tickcache_model)))]
#[inline]
pub(crate) const fn injected<F: Copy>(_: F) -> bool {
    false
}
