//! The o200k tokenizer, of the compact table that `build.rs` writes and describes.

use std::sync::OnceLock;

use tiktoken_rs::{CoreBPE, O200K_BASE_PAT_STR};

static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/o200k"));

static TOKENIZER: OnceLock<CoreBPE> = OnceLock::new();

/// Whether [`tokenizer`] takes no time.
pub(super) fn is_made() -> bool {
    TOKENIZER.get().is_some()
}

/// The tokenizer, which is made when it is needed for the first time. That takes a tenth of
/// a second, and more in a build without optimisation.
pub(super) fn tokenizer() -> &'static CoreBPE {
    TOKENIZER.get_or_init(|| {
        let encoder = tokens().into_iter().zip(0..).collect();
        // Texts are counted as they are: what looks like a special token in them is none.
        #[expect(clippy::expect_used, reason = "the pattern never changes, and the tests use it")]
        CoreBPE::new(encoder, std::iter::empty().collect(), O200K_BASE_PAT_STR)
            .expect("the pattern is valid")
    })
}

/// All tokens, in their order.
fn tokens() -> Vec<Vec<u8>> {
    let (bytes, others) = TABLE.split_at(256);
    let mut tokens: Vec<_> = bytes.iter().map(|byte| vec![*byte]).collect();
    for two in others.chunks_exact(9) {
        let mut bits = two.iter().rev().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        let mut part = || {
            let part = (bits & 0x3_ffff) as usize;
            bits >>= 18;
            part
        };
        for _ in 0..2 {
            let token = [tokens[part()].as_slice(), &tokens[part()]].concat();
            tokens.push(token);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_of_tiktoken() {
        let theirs = tiktoken_rs::o200k_base_singleton();
        let tokens = tokens();
        for (token, rank) in tokens.iter().zip(0..) {
            assert_eq!(theirs.decode_bytes(&[rank]).unwrap(), *token, "{rank}");
        }
        assert_eq!(tokens.len(), 199_998);
    }
}
