//! The members of an object that a venue reads, found in one pass whatever their order.

/// Makes a struct of the named members of an object, each as it stands or `None`, and `of`, which
/// reads it. Of a repeated name the last counts, as everywhere.
macro_rules! members {
    ($(#[doc = $doc:literal])* $vis:vis struct $name:ident {
        $($seen:vis $field:ident = $member:literal,)+
    }) => {
        $(#[doc = $doc])*
        #[derive(Default)]
        $vis struct $name<'a> {
            $($seen $field: Option<$crate::json::Value<'a>>,)+
        }

        impl<'a> $name<'a> {
            #[inline]
            $vis fn of(object: $crate::json::Value<'a>) -> Self {
                let mut members = Self::default();
                for (name, value) in object.members() {
                    match name.as_str() {
                        $($member => members.$field = Some(value),)+
                        _ => {}
                    }
                }
                members
            }
        }
    };
}

pub(super) use members;
