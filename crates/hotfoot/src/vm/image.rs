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

use super::memory::MemoryData;
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

/// The runs of pages that are not zero, all of them inside the candidates, which are whole pages and ascending.
fn runs_of(bytes: &[u8], candidates: &[Range<usize>]) -> Vec<Range<usize>> {
    let page = page::size();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for start in candidates.iter().flat_map(|range| range.clone().step_by(page)) {
        let end = start + page;
        if bytes[start..end.min(bytes.len())].iter().all(|byte| *byte == 0) {
            continue;
        }
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
    /// Keeps a copy of a memory's bytes.
    pub fn of_memory(memory: &MemoryData) -> io::Result<MemoryImage> {
        MemoryImage::new(memory.whole_pages(), &memory.written_pages())
    }

    /// Keeps a copy of these bytes, which are whole pages and are zero outside of the
    /// candidates.
    fn new(bytes: &[u8], candidates: &[Range<usize>]) -> io::Result<MemoryImage> {
        let runs = runs_of(bytes, candidates);
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

    /// The longest part from the start of this range that is either in the file or zeroes: its end, and its bytes if it
    /// is in the file.
    pub fn part(&self, range: Range<usize>) -> (usize, Option<&[u8]>) {
        let next = self.runs.partition_point(|run| run.end <= range.start);
        let Some(run) = self.runs.get(next).filter(|run| run.start < range.end) else { return (range.end, None) };
        if range.start < run.start {
            return (run.start, None);
        }
        let end = run.end.min(range.end);
        // SAFETY: S5, runs lie inside the file and so inside the view, whose bytes nobody changes.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.view.base().as_ptr().add(range.start), end - range.start) };
        (end, Some(bytes))
    }

    /// Page-aligned ranges of the memory outside of which the image is zero, ascending.
    pub fn runs(&self) -> &[Range<usize>] {
        &self.runs
    }

    /// Bytes that the image takes, not counting zero pages between its runs.
    pub fn byte_len(&self) -> usize {
        self.runs.iter().map(Range::len).sum()
    }
}
