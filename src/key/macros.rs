//! `key!`: keys written as they look.

/// A [`Key`](crate::Key), written as JSON with expressions in it.
///
/// Parts are separated by commas; a comma may follow the last. A part is
///
/// * `null`, or any expression that is `Into<`[`Part`](crate::Part)`>`: texts, integers, truth
///   values, ids, options (`None` is null), vectors, parts;
/// * `[…]`, an array of parts, or `{"name": part, …}`, an object. A name that is no literal stands
///   in parentheses: `{(name): 1}`. The last of two members with one name counts;
/// * `?option`: what is in the option, or nothing at all. An absent part is left out of the key,
///   the array or (with its name) the object that it stands in.
///
/// An expression that begins with a brace, such as a block, has to stand in parentheses, since it
/// would be read as an object.
///
/// ```
/// use tickcache::{Id, Key, key};
///
/// let id = Id::from("b-7");
/// assert_eq!(key!["job", id].to_json(), r#"["job","b-7"]"#);
///
/// fn todos(state: Option<&str>, page: u32) -> Key {
///     key!["todos", {"filters": {"state": ?state, "page": page}}, [1, null, true]]
/// }
/// assert_eq!(
///     todos(Some("open"), 2).to_json(),
///     r#"["todos",{"filters":{"page":2,"state":"open"}},[1,null,true]]"#
/// );
/// assert_eq!(todos(None, 2), key!["todos", {"filters": {"page": 2}}, [1, null, true]]);
/// assert_eq!(key![], Key::new([]));
/// ```
#[macro_export]
macro_rules! key {
    () => { $crate::key::Key::new([]) };
    ($($parts:tt)+) => { $crate::__key!(@parts $crate::key::Key::new, [] $($parts)+) };
}

/// The inside of [`key!`]: takes one part after the other off the front, and collects each as an
/// `Option`, `None` for what is left out.
#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    (@parts $make:path, [$($done:expr,)*]) => {
        $make(::core::iter::IntoIterator::into_iter([$($done,)*]).flatten())
    };
    (@parts $make:path, [$($done:expr,)*] null $(, $($rest:tt)*)?) => {
        $crate::__key!(@parts $make,
            [$($done,)* ::core::option::Option::Some($crate::key::Part::Null),] $($($rest)*)?)
    };
    (@parts $make:path, [$($done:expr,)*] [$($inner:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__key!(@parts $make,
            [$($done,)* ::core::option::Option::Some($crate::__key!(@part [$($inner)*])),]
            $($($rest)*)?)
    };
    (@parts $make:path, [$($done:expr,)*] {$($inner:tt)*} $(, $($rest:tt)*)?) => {
        $crate::__key!(@parts $make,
            [$($done,)* ::core::option::Option::Some($crate::__key!(@part {$($inner)*})),]
            $($($rest)*)?)
    };
    (@parts $make:path, [$($done:expr,)*] ? $option:expr $(, $($rest:tt)*)?) => {
        $crate::__key!(@parts $make,
            [$($done,)* ::core::option::Option::map($option, ::core::convert::Into::into),]
            $($($rest)*)?)
    };
    (@parts $make:path, [$($done:expr,)*] $part:expr $(, $($rest:tt)*)?) => {
        $crate::__key!(@parts $make,
            [$($done,)* ::core::option::Option::Some($crate::__key!(@part $part)),] $($($rest)*)?)
    };

    (@members [$($done:expr,)*]) => {
        $crate::key::Part::object(::core::iter::IntoIterator::into_iter([$($done,)*]).flatten())
    };
    (@members [$($done:expr,)*] ($name:expr) : $($rest:tt)+) => {
        $crate::__key!(@member [$($done,)*] ($name) $($rest)+)
    };
    (@members [$($done:expr,)*] $name:literal : $($rest:tt)+) => {
        $crate::__key!(@member [$($done,)*] ($name) $($rest)+)
    };

    (@member [$($done:expr,)*] ($name:expr) null $(, $($rest:tt)*)?) => {
        $crate::__key!(@members
            [$($done,)* $crate::__key!(@pair ($name) $crate::key::Part::Null),] $($($rest)*)?)
    };
    (@member [$($done:expr,)*] ($name:expr) [$($inner:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__key!(@members
            [$($done,)* $crate::__key!(@pair ($name) $crate::__key!(@part [$($inner)*])),]
            $($($rest)*)?)
    };
    (@member [$($done:expr,)*] ($name:expr) {$($inner:tt)*} $(, $($rest:tt)*)?) => {
        $crate::__key!(@members
            [$($done,)* $crate::__key!(@pair ($name) $crate::__key!(@part {$($inner)*})),]
            $($($rest)*)?)
    };
    (@member [$($done:expr,)*] ($name:expr) ? $option:expr $(, $($rest:tt)*)?) => {
        $crate::__key!(@members
            [$($done,)* ::core::option::Option::map($option, |part| (
                <::std::sync::Arc<::core::primitive::str> as ::core::convert::From<_>>::from($name),
                ::core::convert::Into::<$crate::key::Part>::into(part),
            )),]
            $($($rest)*)?)
    };
    (@member [$($done:expr,)*] ($name:expr) $part:expr $(, $($rest:tt)*)?) => {
        $crate::__key!(@members
            [$($done,)* $crate::__key!(@pair ($name) $crate::__key!(@part $part)),] $($($rest)*)?)
    };
    (@pair ($name:expr) $part:expr) => {
        ::core::option::Option::Some((
            <::std::sync::Arc<::core::primitive::str> as ::core::convert::From<_>>::from($name),
            $part,
        ))
    };

    (@part []) => { $crate::key::Part::array([]) };
    (@part [$($inner:tt)+]) => {
        $crate::__key!(@parts $crate::key::Part::array, [] $($inner)+)
    };
    (@part {}) => { $crate::key::Part::object::<&::core::primitive::str>([]) };
    (@part {$($inner:tt)+}) => { $crate::__key!(@members [] $($inner)+) };
    (@part $part:expr) => { ::core::convert::Into::<$crate::key::Part>::into($part) };
}
