//! Random answers: a small guest that returns anything that the canonical ABI allows.

use arbitrary::{Result, Unstructured};

use crate::{
    guest::{self, ALLOCATED, GIVEN, LOGGED, RETURNED, TRAPS, WORDS},
    memory::{ConcatLe, Flat, Memory, case},
    trial,
};

/// Builds an answer of each phase in the interface's terms, some of them wrong, and then may overwrite a few bytes.
pub fn answer(input: &[u8]) {
    // It fails only if the input is too short.
    if let Ok(memory) = memory(Unstructured::new(input)) {
        trial::put(&guest::with_memory(&memory));
    }
}

fn memory(mut input: Unstructured<'_>) -> Result<Vec<u8>> {
    if input.ratio(1, 16)? {
        return Ok(input.take_rest().to_vec());
    }
    let mut writer = Writer { memory: Memory(vec![0; WORDS]), input: &mut input };
    let answers = [writer.init()?, writer.resolution()?, writer.verdict()?, writer.verdict()?];
    for (number, answer) in answers.iter().enumerate() {
        let address = writer.memory.place(answer);
        writer.memory.poke(RETURNED + 4 * number, &address.to_le_bytes());
    }
    if writer.input.ratio(1, 8)? {
        let line = writer.text()?;
        let level = writer.input.int_in_range(0..=5_u32)?.to_le_bytes();
        writer.memory.poke(LOGGED, &[&level[..], &line].concat());
    }
    if writer.input.ratio(1, 32)? {
        let allocated: u32 = writer.input.arbitrary()?;
        writer.memory.poke(ALLOCATED, &allocated.to_le_bytes());
    }
    if writer.input.ratio(1, 32)? {
        writer.memory.poke(TRAPS, &[1]);
    }
    if writer.input.ratio(1, 2)? {
        for _ in 0..writer.input.int_in_range(1..=4)? {
            writer.spoil()?;
        }
    }
    Ok(writer.memory.0)
}

struct Writer<'a, 'b> {
    memory: Memory,
    input: &'b mut Unstructured<'a>,
}

/// Sizes of the interface's types in memory, in bytes.
const DENIAL: usize = 16;
const ROLE: usize = 88;
const TEXT: usize = 8;
const INTEREST: usize = 6 * TEXT;

const TEXTS: [&str; 24] = [
    "reader",
    "/team/a/reader",
    "arn:aws:iam::123456789012:role/reader",
    "arn:aws:iam::123456789012:role/a/../reader",
    "ARN:aws-us-gov:iam::210987654321:role/team/reader",
    "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "arn:aws:iam::123456789012:user/reader",
    "sts.amazonaws.com",
    "sts-regional-endpoints",
    "kubernetes-namespace",
    "not-here",
    "Not here",
    "because of a rule",
    "two\nlines",
    "\u{1b}[2J",
    "\u{202e}é\u{85}",
    "tier",
    "te*",
    "*",
    "",
    "aws:team",
    "team&<>",
    r#"{"Version":"2012-10-17","Statement":[]}"#,
    "日本",
];
/// The bounds of the interface and of AWS, each tried with one less and one more.
const LENGTHS: [usize; 10] = [1, 64, 128, 256, 512, 1024, 1224, 2048, 16_000, 60_000];

impl Writer<'_, '_> {
    fn text(&mut self) -> Result<Flat> {
        let text = match self.input.int_in_range(0..=15)? {
            0..=10 => self.input.choose(&TEXTS)?.as_bytes().to_vec(),
            11..=12 => {
                let length = *self.input.choose(&LENGTHS)? + self.input.int_in_range(0..=2)? - 1;
                if length > 4096 {
                    // Zeros are text too; only the end of the memory has room for them.
                    return Ok([u32::try_from(GIVEN).unwrap(), u32::try_from(length).unwrap()].concat_le());
                }
                vec![b'a'; length]
            }
            13..=14 => self.input.arbitrary::<&str>()?.as_bytes().to_vec(),
            _ => self.input.arbitrary::<&[u8]>()?.to_vec(),
        };
        Ok(self.memory.text(&text))
    }

    fn count(&mut self) -> Result<usize> {
        match self.input.int_in_range(0..=31)? {
            0..=27 => self.input.int_in_range(0..=3),
            28 => self.input.int_in_range(9..=11),
            29 => self.input.int_in_range(45..=51),
            _ => self.input.int_in_range(255..=257),
        }
    }

    fn texts(&mut self) -> Result<Flat> {
        let first = self.text()?;
        let rest = (1..self.count()?).map(|number| if number < 4 { self.text() } else { Ok(first.clone()) });
        let texts: Vec<Flat> = std::iter::once(Ok(first.clone())).chain(rest).collect::<Result<_>>()?;
        Ok(if self.input.ratio(1, 2)? { self.memory.list(&[]) } else { self.memory.list(&texts) })
    }

    /// With many pairs the keys differ, so that no pair replaces another.
    fn pairs(&mut self) -> Result<Flat> {
        let value = self.text()?;
        let mut pairs = Vec::new();
        for number in 0..self.count()? {
            let (key, value) = match number {
                0..4 => (self.text()?, self.text()?),
                _ => (self.memory.text(format!("{number}").as_bytes()), value.clone()),
            };
            pairs.push([key, value].concat());
        }
        Ok(self.memory.list(&pairs))
    }

    fn optional(&mut self, value: impl FnOnce(&mut Self) -> Result<Flat>, size: usize) -> Result<Flat> {
        if self.input.ratio(2, 3)? { Ok(case(0, &[], size)) } else { Ok(case(1, &value(self)?, size)) }
    }

    fn init(&mut self) -> Result<Flat> {
        let mut lists = Vec::new();
        for _ in 0..INTEREST / TEXT {
            lists.push(self.texts()?);
        }
        self.result(lists.concat(), INTEREST)
    }

    fn resolution(&mut self) -> Result<Flat> {
        let resolution = match self.input.int_in_range(0..=7)? {
            0 => case(0, &[], ROLE),
            1 => case(2, &self.denial()?, ROLE),
            _ => case(1, &self.role()?, ROLE),
        };
        self.result(resolution, 4 + ROLE)
    }

    fn verdict(&mut self) -> Result<Flat> {
        let verdict = match self.input.int_in_range(0..=5)? {
            0 => case(0, &[], DENIAL),
            1 => case(2, &self.denial()?, DENIAL),
            _ => case(1, &[], DENIAL),
        };
        self.result(verdict, 4 + DENIAL)
    }

    fn result(&mut self, value: Flat, size: usize) -> Result<Flat> {
        if self.input.ratio(1, 16)? { Ok(case(1, &self.text()?, size)) } else { Ok(case(0, &value, size)) }
    }

    fn denial(&mut self) -> Result<Flat> {
        Ok([self.text()?, self.text()?].concat())
    }

    fn role(&mut self) -> Result<Flat> {
        let name = self.text()?;
        let source = match self.input.int_in_range(0..=7)? {
            0..=4 => case(0, &[], TEXT),
            5..=6 => case(1, &self.text()?, TEXT),
            _ => case(2, &[], TEXT),
        };
        let parts = [
            name,
            source,
            self.optional(Self::text, TEXT)?,
            self.optional(Self::text, TEXT)?,
            self.optional(Self::seconds, 4)?,
            self.pairs()?,
            self.optional(Self::text, TEXT)?,
            self.texts()?,
            self.pairs()?,
        ];
        Ok(parts.concat())
    }

    fn seconds(&mut self) -> Result<Flat> {
        let seconds = *self.input.choose(&[0, 899, 900, 3600, 43_200, 43_201, u32::MAX])?;
        Ok(seconds.to_le_bytes().to_vec())
    }

    /// Overwrites a byte or a word.
    fn spoil(&mut self) -> Result<()> {
        let address = self.input.int_in_range(0..=self.memory.0.len().min(GIVEN) - 1)?;
        let words = [0, 1, 2, 3, 0xff, 0xffff, 0x1_0000, 0x1_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
        match self.input.int_in_range(0..=2)? {
            0 => self.memory.poke(address, &[self.input.arbitrary()?]),
            1 => self.memory.poke(address, &self.input.arbitrary::<u32>()?.to_le_bytes()),
            _ => self.memory.poke(address & !3, &self.input.choose(&words)?.to_le_bytes()),
        }
        Ok(())
    }
}
