//! What must hold of any bytes: the test beside gives it some, and the fuzzer all.

use bytes::BytesMut;
use pool_subprocess::worker::protocol::{Frame, FrameCodec, HEAD_LEN, MAX_HEADER};
use tokio_util::codec::{Decoder as _, Encoder as _};

const MAX_BODY: usize = 4096;

/// The first byte says in which pieces the others come. However they do, they are the same frames and the same error;
/// what is a frame becomes the same bytes again; and nothing is allocated that is longer than a frame may be.
pub(crate) fn exercise(data: &[u8]) {
    let Some((piece, data)) = data.split_first() else {
        return;
    };
    let (frames, error) = decode(data, data.len().max(1));
    let (in_pieces, its_error) = decode(data, usize::from(*piece).max(1));
    assert_eq!(frames, in_pieces);
    assert_eq!(error.is_some(), its_error.is_some());
    let mut again = BytesMut::new();
    for frame in frames {
        let encoded = FrameCodec::new(MAX_BODY).encode(frame, &mut again);
        encoded.expect("it was decoded");
    }
    assert!(data.starts_with(&again));
    if error.is_none() {
        let rest = &data[again.len()..];
        assert!(rest.len() < HEAD_LEN + MAX_HEADER + MAX_BODY);
    }
}

fn decode(data: &[u8], piece: usize) -> (Vec<Frame>, Option<String>) {
    let mut codec = FrameCodec::new(MAX_BODY);
    let (mut bytes, mut frames) = (BytesMut::new(), Vec::new());
    for piece in data.chunks(piece) {
        bytes.extend_from_slice(piece);
        loop {
            match codec.decode(&mut bytes) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
        let most = HEAD_LEN + MAX_HEADER + MAX_BODY;
        assert!(
            bytes.capacity() <= 2 * most.max(data.len()),
            "{}",
            bytes.capacity()
        );
    }
    (frames, None)
}
