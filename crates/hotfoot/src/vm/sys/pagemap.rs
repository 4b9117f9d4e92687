//! Asking the kernel which pages of a private mapping are no longer those of the file: `PAGEMAP_SCAN` (Linux 6.7).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, RwLock};

use super::page;

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of `linux/fs.h`.
#[repr(C)]
#[derive(Copy, Clone, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;

/// The file, and the process that it tells of: a child that was forked inherits the file, and would be told of its
/// parent's memory.
static PAGEMAP: RwLock<Option<(u32, Arc<File>)>> = RwLock::new(None);

fn pagemap() -> io::Result<Arc<File>> {
    let process = std::process::id();
    // Never waiting: in a child, whoever held the lock when it was forked does not exist.
    if let Ok(held) = PAGEMAP.try_read()
        && let Some((owner, file)) = held.as_ref()
        && *owner == process
    {
        return Ok(file.clone());
    }
    let file = Arc::new(File::open("/proc/self/pagemap")?);
    if let Ok(mut held) = PAGEMAP.try_write() {
        *held = Some((process, file.clone()));
    }
    Ok(file)
}

/// Calls `dirty` with each range of addresses whose pages are private to this process, present or swapped out.
///
/// # Errors
/// When the kernel has no `PAGEMAP_SCAN`; some ranges may have been reported before.
pub fn for_each_private(range: Range<usize>, mut dirty: impl FnMut(Range<usize>)) -> io::Result<()> {
    let file = pagemap()?;
    let mut regions = [Region::default(); 64];
    let mut start = range.start as u64;
    while start < range.end as u64 {
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            start,
            end: range.end as u64,
            vec: regions.as_mut_ptr() as u64,
            vec_len: regions.len() as u64,
            category_inverted: PAGE_IS_FILE | PAGE_IS_PFNZERO,
            category_mask: PAGE_IS_FILE | PAGE_IS_PFNZERO,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            ..ScanArg::default()
        };
        // SAFETY: S11, the argument and the regions it points to are ours and live during the call.
        let found = unsafe { libc::ioctl(file.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
        if found < 0 {
            return Err(io::Error::last_os_error());
        }
        for region in &regions[..found as usize] {
            dirty(region.start as usize..region.end as usize);
        }
        // The scan stops early when the regions are full: go on from where it stopped, until the end.
        if arg.walk_end <= start {
            return Err(io::ErrorKind::InvalidData.into());
        }
        start = arg.walk_end;
    }
    Ok(())
}

/// Whether the kernel can be asked.
pub fn is_supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let probe = [0u8; 1];
        let start = probe.as_ptr() as usize & !(page::size() - 1);
        for_each_private(start..start + page::size(), |_| {}).is_ok()
    })
}
