//! The members of an object that a venue reads, found whatever their order.

/// Makes a struct of the named members of an object, each as it stands or `None`, and `of`, which
/// reads it. Of a repeated name the last counts, as everywhere.
macro_rules! members {
    ($(#[doc = $doc:literal])* $vis:vis struct $name:ident {
        $($(#[doc = $note:literal])* $seen:vis $field:ident = $member:literal,)+
    }) => {
        $(#[doc = $doc])*
        $vis struct $name<'a> {
            $($(#[doc = $note])* $seen $field: Option<$crate::json::Value<'a>>,)+
        }

        impl<'a> $name<'a> {
            #[inline]
            $vis fn of(object: $crate::json::Value<'a>) -> Self {
                static NAMES: &[&str; [$($member),+].len()] = &[$($member),+];
                let [$($field),+] = object.pick(NAMES);
                Self { $($field),+ }
            }
        }
    };
}

pub(super) use members;
