//! A guest without an engine: some memory, and calls in terms of Rust values.

use hotfoot_wasi::p1::{self, Errno, GuestMemory, PathOpen, rights};
use hotfoot_wasi::{Perms, Walk, WasiCtx, WasiCtxBuilder};
use std::path::Path;

/// Where results are written.
pub const OUT: u32 = 0;
/// Where vectors of buffers are.
const IOVS: u32 = 64;
/// Where paths and data are put; a second path goes `SECOND` bytes further.
pub const DATA: u32 = 1024;
const SECOND: u32 = 8192;
/// The preopened directory.
pub const ROOT: u32 = 3;

pub const READ: u64 = rights::FD_READ;
pub const WRITE: u64 = rights::FD_WRITE;
pub const CREAT: u32 = 1;
pub const DIRECTORY: u32 = 2;
pub const EXCL: u32 = 4;
pub const TRUNC: u32 = 8;

pub type Result<T = ()> = std::result::Result<T, Errno>;

pub struct Guest {
    pub ctx: WasiCtx,
    pub bytes: Vec<u8>,
}

/// What `filestat` holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Filestat {
    pub ino: u64,
    pub filetype: u8,
    pub nlink: u64,
    pub size: u64,
    pub atim: u64,
    pub mtim: u64,
}

impl Guest {
    pub fn new(builder: &mut WasiCtxBuilder) -> Guest {
        Guest { ctx: builder.build(), bytes: vec![0; 1 << 17] }
    }

    /// A guest with `root` preopened as `/`.
    pub fn in_dir(root: &Path, perms: Perms, walk: Walk) -> Guest {
        Guest::new(WasiCtxBuilder::new().walk(walk).preopened_dir(root, "/", perms).unwrap())
    }

    /// Calls a function with the context and the memory.
    pub fn call<R>(&mut self, function: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>) -> R) -> R {
        function(&mut self.ctx, &mut GuestMemory::new(&mut self.bytes[..]))
    }

    pub fn u32_at(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.bytes[at as usize..][..4].try_into().unwrap())
    }

    pub fn u64_at(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.bytes[at as usize..][..8].try_into().unwrap())
    }

    pub fn put(&mut self, at: u32, bytes: &[u8]) -> (u32, u32) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
        (at, bytes.len() as u32)
    }

    /// Puts one vector of one buffer into memory.
    pub fn iovs(&mut self, buffers: &[(u32, u32)]) -> (u32, u32) {
        for (at, (pointer, len)) in buffers.iter().enumerate() {
            self.put(IOVS + at as u32 * 8, &pointer.to_le_bytes());
            self.put(IOVS + at as u32 * 8 + 4, &len.to_le_bytes());
        }
        (IOVS, buffers.len() as u32)
    }

    pub fn open_with(&mut self, args: PathOpen, path: &[u8]) -> Result<u32> {
        let (path, path_len) = self.put(DATA, path);
        self.call(|ctx, mem| p1::path_open(ctx, mem, PathOpen { path, path_len, opened_fd: OUT, ..args }))?;
        Ok(self.u32_at(OUT))
    }

    /// Opens following links.
    pub fn open(&mut self, path: &str, oflags: u32, rights_base: u64) -> Result<u32> {
        let args = PathOpen { fd: ROOT, dirflags: 1, oflags, rights_base, ..PathOpen::default() };
        self.open_with(args, path.as_bytes())
    }

    pub fn open_nofollow(&mut self, path: &str, oflags: u32, rights_base: u64) -> Result<u32> {
        let args = PathOpen { fd: ROOT, oflags, rights_base, ..PathOpen::default() };
        self.open_with(args, path.as_bytes())
    }

    pub fn close(&mut self, fd: u32) -> Result {
        p1::fd_close(&mut self.ctx, fd)
    }

    pub fn read(&mut self, fd: u32, len: u32) -> Result<Vec<u8>> {
        let (iovs, count) = self.iovs(&[(DATA, len)]);
        self.call(|ctx, mem| p1::fd_read(ctx, mem, fd, iovs, count, OUT))?;
        Ok(self.bytes[DATA as usize..][..self.u32_at(OUT) as usize].to_vec())
    }

    pub fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32> {
        let data = self.put(DATA, bytes);
        let (iovs, count) = self.iovs(&[data]);
        self.call(|ctx, mem| p1::fd_write(ctx, mem, fd, iovs, count, OUT))?;
        Ok(self.u32_at(OUT))
    }

    pub fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64> {
        self.call(|ctx, mem| p1::fd_seek(ctx, mem, fd, offset, whence, OUT))?;
        Ok(self.u64_at(OUT))
    }

    /// Reads a whole file by its path.
    pub fn contents(&mut self, path: &str) -> Result<Vec<u8>> {
        let fd = self.open(path, 0, READ)?;
        let read = self.read(fd, 4096);
        self.close(fd)?;
        read
    }

    /// Calls a function that takes a descriptor and a path.
    pub fn at_path(
        &mut self,
        path: &str,
        function: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>, u32, u32, u32) -> Result,
    ) -> Result {
        let (pointer, len) = self.put(DATA, path.as_bytes());
        self.call(|ctx, mem| function(ctx, mem, ROOT, pointer, len))
    }

    pub fn mkdir(&mut self, path: &str) -> Result {
        self.at_path(path, p1::path_create_directory)
    }

    pub fn rmdir(&mut self, path: &str) -> Result {
        self.at_path(path, p1::path_remove_directory)
    }

    pub fn unlink(&mut self, path: &str) -> Result {
        self.at_path(path, p1::path_unlink_file)
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result {
        let (old, old_len) = self.put(DATA, from.as_bytes());
        let (new, new_len) = self.put(DATA + SECOND, to.as_bytes());
        self.call(|ctx, mem| p1::path_rename(ctx, mem, ROOT, old, old_len, ROOT, new, new_len))
    }

    pub fn link(&mut self, from: &str, to: &str) -> Result {
        let (old, old_len) = self.put(DATA, from.as_bytes());
        let (new, new_len) = self.put(DATA + SECOND, to.as_bytes());
        self.call(|ctx, mem| p1::path_link(ctx, mem, ROOT, 0, old, old_len, ROOT, new, new_len))
    }

    pub fn symlink(&mut self, target: &str, path: &str) -> Result {
        let (old, old_len) = self.put(DATA, target.as_bytes());
        let (new, new_len) = self.put(DATA + SECOND, path.as_bytes());
        self.call(|ctx, mem| p1::path_symlink(ctx, mem, old, old_len, ROOT, new, new_len))
    }

    pub fn readlink(&mut self, path: &str, buf_len: u32) -> Result<Vec<u8>> {
        let buf = DATA + SECOND;
        self.at_path(path, |ctx, mem, fd, path, len| p1::path_readlink(ctx, mem, fd, path, len, buf, buf_len, OUT))?;
        Ok(self.bytes[buf as usize..][..self.u32_at(OUT) as usize].to_vec())
    }

    fn filestat(&self) -> Filestat {
        let filetype = self.bytes[OUT as usize + 16];
        let number = |offset: u32| self.u64_at(OUT + offset);
        Filestat { ino: number(8), filetype, nlink: number(24), size: number(32), atim: number(40), mtim: number(48) }
    }

    pub fn stat(&mut self, path: &str, follow: bool) -> Result<Filestat> {
        let flags = u32::from(follow);
        self.at_path(path, |ctx, mem, fd, path, len| p1::path_filestat_get(ctx, mem, fd, flags, path, len, OUT))?;
        Ok(self.filestat())
    }

    pub fn fd_stat(&mut self, fd: u32) -> Result<Filestat> {
        self.call(|ctx, mem| p1::fd_filestat_get(ctx, mem, fd, OUT))?;
        Ok(self.filestat())
    }

    pub fn set_times(&mut self, path: &str, follow: bool, atim: u64, mtim: u64, fst_flags: u32) -> Result {
        let flags = u32::from(follow);
        self.at_path(path, |ctx, mem, fd, path, len| {
            p1::path_filestat_set_times(ctx, mem, fd, flags, path, len, atim, mtim, fst_flags)
        })
    }

    /// Kind, flags and the two sets of rights.
    pub fn fdstat(&mut self, fd: u32) -> Result<(u8, u16, u64, u64)> {
        self.call(|ctx, mem| p1::fd_fdstat_get(ctx, mem, fd, OUT))?;
        let flags = u16::from_le_bytes([self.bytes[OUT as usize + 2], self.bytes[OUT as usize + 3]]);
        Ok((self.bytes[OUT as usize], flags, self.u64_at(OUT + 8), self.u64_at(OUT + 16)))
    }
}

/// Runs a test in a fresh directory under each of the two walks.
pub fn with_both_walks(test: impl Fn(&Path, Walk)) {
    for walk in [Walk::Auto, Walk::Manual] {
        let scratch = tempfile::tempdir().unwrap();
        test(scratch.path(), walk);
    }
}
