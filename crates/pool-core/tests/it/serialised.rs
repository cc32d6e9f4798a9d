use pool_core::{Limits, Order, Priority};
use serde::{
    Deserialize,
    de::value::{Error, MapDeserializer, StrDeserializer},
};

fn limits(entries: &[(&'static str, u64)]) -> Result<Limits, Error> {
    Limits::deserialize(MapDeserializer::new(entries.iter().copied()))
}

#[test]
fn limits_left_out_have_their_defaults() {
    let limits = limits(&[("max_size", 4), ("max_waiters", 7)]).unwrap();
    assert_eq!((limits.max_size, limits.max_waiters), (4, 7));
    assert_eq!(limits.acquire_timeout, Limits::default().acquire_timeout);
}

#[test]
fn an_unknown_limit_is_named() {
    let error = limits(&[("max_sise", 4)]).unwrap_err().to_string();
    assert!(
        error.starts_with("unknown field `max_sise`, expected one of `max_size`"),
        "{error}"
    );
}

#[test]
fn priorities_and_orders_are_words() {
    let rotate = StrDeserializer::<Error>::new("rotate");
    assert_eq!(Order::deserialize(rotate), Ok(Order::Rotate));
    let high = StrDeserializer::<Error>::new("high");
    assert_eq!(Priority::deserialize(high), Ok(Priority::High));
}

#[cfg(feature = "keyed")]
#[test]
fn limits_of_keyed_pools_left_out_have_their_defaults() {
    use pool_core::KeyedLimits;

    let read = |entries: &[(&'static str, u64)]| {
        KeyedLimits::deserialize(MapDeserializer::<_, Error>::new(entries.iter().copied()))
    };
    let limits = read(&[("max_total", 7)]).unwrap();
    assert_eq!((limits.max_total, limits.per_key), (7, Limits::default()));
    let error = read(&[("max_size", 7)]).unwrap_err().to_string();
    assert!(error.contains("`max_total`"), "{error}");
}
