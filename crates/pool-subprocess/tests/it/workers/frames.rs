//! Frames of any shape, whole and damaged. `fuzz/` does the same without an end.

use bytes::BytesMut;
use pool_subprocess::worker::protocol::{Format, Frame, FrameCodec, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio_util::codec::Encoder as _;

use super::exercise::exercise;

fn frame() -> impl Strategy<Value = Frame> {
    let kinds = [
        Kind::Hello,
        Kind::Request,
        Kind::Result,
        Kind::Chunk,
        Kind::Retire,
    ];
    let formats = [Format::Json, Format::Raw];
    let parts = (
        proptest::sample::select(kinds.to_vec()),
        any::<u64>(),
        proptest::sample::select(formats.to_vec()),
        vec(any::<u8>(), 0..100),
        vec(any::<u8>(), 0..600),
    );
    parts.prop_map(|(kind, id, format, header, body)| {
        Frame::new(kind, id)
            .header(header)
            .body(format, body.into())
    })
}

fn encoded(frames: Vec<Frame>) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for frame in frames {
        FrameCodec::new(4096)
            .encode(frame, &mut bytes)
            .expect("short enough");
    }
    bytes.to_vec()
}

proptest! {
    // No file with what has failed: the cases are few, and always the same.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_frames_or_an_error(data in vec(any::<u8>(), 0..200)) {
        exercise(&data);
    }

    #[test]
    fn frames_are_whole_however_they_come(piece in any::<u8>(), frames in vec(frame(), 0..6)) {
        let data = [vec![piece], encoded(frames)].concat();
        exercise(&data);
    }

    #[test]
    fn damaged_frames_are_no_others(
        piece in any::<u8>(),
        frames in vec(frame(), 1..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = encoded(frames);
        for (place, byte) in damage {
            let length = data.len();
            data[place.index(length)] = byte;
        }
        data.truncate(cut.index(data.len() + 1));
        exercise(&[vec![piece], data].concat());
    }
}
