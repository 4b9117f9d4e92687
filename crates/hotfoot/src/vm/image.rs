//! A memory image: the bytes that a memory starts with, in a form that many mappings share copy-on-write.
//!
//! The bytes live in a file in memory, at their own addresses; stretches of zero pages are holes in it and are not
//! mapped at all, so a large sparse image costs what its non-zero pages cost.
//!
//! ```text
//!  memory   ┌──run──┐ zero pages ┌──run──┐ zero pages …
//!           │ private mapping    │        anonymous memory
//!  file     └───────┘   hole     └───────┘
//! ```

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::sys::mmap::Mmap;
use super::sys::{memfd, page};

/// Runs that are closer than this many pages become one: a mapping costs more than some zero pages.
const MERGE_PAGES: usize = 16;
/// Most runs of an image; beyond it everything from first to last is one run.
const MAX_RUNS: usize = 64;

/// See the module's documentation.
#[derive(Debug)]
pub struct MemoryImage {
    file: File,
    /// The whole file, readable.
    view: Mmap,
    /// Page-aligned ranges of the memory that are in the file, ascending.
    runs: Vec<Range<usize>>,
}

fn runs_of(bytes: &[u8]) -> Vec<Range<usize>> {
    let page = page::size();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, chunk) in bytes.chunks(page).enumerate() {
        if chunk.iter().all(|byte| *byte == 0) {
            continue;
        }
        let (start, end) = (index * page, (index + 1) * page);
        match runs.last_mut() {
            Some(run) if start - run.end <= MERGE_PAGES * page => run.end = end,
            _ => runs.push(start..end),
        }
    }
    if runs.len() > MAX_RUNS {
        runs[0].end = runs[runs.len() - 1].end;
        runs.truncate(1);
    }
    runs
}

impl MemoryImage {
    /// Keeps a copy of these bytes, whose length is a multiple of the page size.
    pub fn new(bytes: &[u8]) -> io::Result<MemoryImage> {
        let runs = runs_of(bytes);
        let file = memfd::create("hotfoot-image")?;
        file.set_len(runs.last().map_or(0, |run| run.end) as u64)?;
        for run in &runs {
            file.write_all_at(&bytes[run.clone()], run.start as u64)?;
        }
        let (view, _) = Mmap::file(&file)?;
        Ok(MemoryImage { file, view, runs })
    }

    /// Makes the first `len` bytes of a mapping, all of them fresh, read-only and equal to the image.
    pub fn map(&self, mapping: &mut Mmap, len: usize) -> io::Result<()> {
        mapping.make_readable(0..len)?;
        self.runs.iter().try_for_each(|run| mapping.map_file(run.clone(), &self.file, run.start as u64))
    }

    /// The image's bytes of the page that begins at this address; `None` is zeroes.
    pub fn page(&self, start: usize) -> Option<&[u8]> {
        let next = self.runs.partition_point(|run| run.end <= start);
        let inside = self.runs.get(next)?.start <= start;
        // SAFETY: S5, runs lie inside the file and so inside the view, whose bytes nobody changes.
        inside.then(|| unsafe { std::slice::from_raw_parts(self.view.base().as_ptr().add(start), page::size()) })
    }

    /// Bytes that the image takes, not counting zero pages between its runs.
    pub fn byte_len(&self) -> usize {
        self.runs.iter().map(Range::len).sum()
    }
}
