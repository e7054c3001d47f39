//! Writes the table of o200k tokens in a compact form; `translate::response::tokens::table` reads it.
//!
//! The table that tiktoken-rs brings is 3.6 MB of text. But every token is made of two earlier ones:
//! 36 bits tell which, and the whole table takes 0.9 MB.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let tokenizer = tiktoken_rs::o200k_base()?;
    let tokens: Vec<_> = (0..).map_while(|rank| tokenizer.decode_bytes(&[rank]).ok()).collect();
    let file = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(file.join("o200k"), table(&tokens).ok_or("the table has another form")?)?;
    Ok(())
}

/// The 256 single bytes in the order of their tokens, then nine bytes for every two other tokens:
/// 18 bits for each of the four that these are made of, the lowest bits first.
fn table(tokens: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (bytes, others) = tokens.split_at_checked(256)?;
    let mut table = bytes.concat();
    if table.len() != 256 || tokens.len() > 1 << 18 || others.len() % 2 != 0 {
        return None;
    }
    let ranks: HashMap<_, _> = tokens.iter().map(Vec::as_slice).zip(0_u128..).collect();
    for (two, first) in others.chunks(2).zip((256..).step_by(2)) {
        let mut bits = 0;
        for (at, (token, rank)) in two.iter().zip(first..).enumerate() {
            let (left, right) = (1..token.len()).find_map(|middle| {
                let (left, right) = token.split_at(middle);
                let parts = (*ranks.get(left)?, *ranks.get(right)?);
                (parts.0 < rank && parts.1 < rank).then_some(parts)
            })?;
            bits |= (left | right << 18) << (36 * at);
        }
        table.extend_from_slice(&bits.to_le_bytes()[..9]);
    }
    Some(table)
}
