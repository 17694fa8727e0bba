//! Values as the canonical ABI lays them out in a guest's memory, written out so that each part of them can be wrong.
//!
//! All values of our interface are aligned to four bytes, and a case's payload starts four bytes after its number.

/// A value as its container holds it: strings and lists are a pointer and a length.
pub(crate) type Flat = Vec<u8>;

/// The guest's memory from its beginning.
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Memory {
    /// Appends a value and returns its address.
    pub(crate) fn place(&mut self, value: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let address = self.0.len();
        self.0.extend_from_slice(value);
        u32::try_from(address).unwrap()
    }

    pub(crate) fn text(&mut self, text: &[u8]) -> Flat {
        let address = self.place(text);
        span(address, text.len())
    }

    pub(crate) fn list(&mut self, items: &[Flat]) -> Flat {
        let address = self.place(&items.concat());
        span(address, items.len())
    }

    /// Overwrites existing bytes; ignores those past the end.
    pub(crate) fn poke(&mut self, address: usize, value: &[u8]) {
        self.0.iter_mut().skip(address).zip(value).for_each(|(old, new)| *old = *new);
    }
}

fn span(address: u32, length: usize) -> Flat {
    [address, u32::try_from(length).unwrap()].concat_le()
}

/// A case of a variant, an option or a result; `size` is the size of the largest case's payload.
pub(crate) fn case(number: u8, payload: &[u8], size: usize) -> Flat {
    let mut flat = vec![number, 0, 0, 0];
    flat.extend_from_slice(payload);
    flat.resize(4 + size, 0);
    flat
}

pub(crate) trait ConcatLe {
    fn concat_le(&self) -> Flat;
}

impl ConcatLe for [u32] {
    fn concat_le(&self) -> Flat {
        self.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}
