//! What one guest is given: arguments, environment, streams, directories, clocks, randomness.
//!
//! A context begins with nothing: no arguments, no environment, streams that go nowhere, no directory. Everything is
//! given by the [`WasiCtxBuilder`]; building and the streams make no system call, a directory is opened when it is given.

use crate::host::clock::Clock;
use crate::host::fs::{Dir, Perms, Walk};
use crate::host::net::Socket;
use crate::host::random::Random;
use crate::host::stdio::Stdio;
use crate::host::table::Table;
use crate::p1::descriptor::{Descriptor, Protection};
use crate::p1::rights;
use anyhow::Context as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

/// How many descriptors a guest may have open unless [`WasiCtxBuilder::max_descriptors`] says otherwise: many guests
/// share the 1024 that a process usually has, or whatever the host raised them to.
const DESCRIPTORS_MAX_DEFAULT: usize = 256;

/// The state of one guest. Keep it in the store's data, where [`p1::add_to_linker`](crate::p1::add_to_linker) finds it.
#[derive(Debug)]
pub struct WasiCtx {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) descriptors: Table<Descriptor>,
    /// The longest that one call may wait.
    pub(crate) max_wait: Option<Duration>,
}

/// Builds a [`WasiCtx`].
#[derive(Debug)]
pub struct WasiCtxBuilder {
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    preopens: Vec<(Dir, String)>,
    sockets: Vec<Socket>,
    clock: Clock,
    random: Random,
    walk: Walk,
    descriptors_max: usize,
    max_wait: Option<Duration>,
    protect_terminal: bool,
}

impl Default for WasiCtxBuilder {
    fn default() -> WasiCtxBuilder {
        WasiCtxBuilder {
            args: Vec::new(),
            env: Vec::new(),
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            preopens: Vec::new(),
            sockets: Vec::new(),
            clock: Clock::System,
            random: Random::System,
            walk: Walk::Auto,
            descriptors_max: DESCRIPTORS_MAX_DEFAULT,
            max_wait: None,
            protect_terminal: false,
        }
    }
}

impl WasiCtxBuilder {
    /// A builder that gives nothing.
    pub fn new() -> WasiCtxBuilder {
        WasiCtxBuilder::default()
    }

    /// Adds an argument. The first is the program's name.
    pub fn arg(&mut self, arg: impl AsRef<str>) -> &mut Self {
        self.args.push(arg.as_ref().as_bytes().to_vec());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: &[impl AsRef<str>]) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Sets an environment variable, in place of one of the same name.
    pub fn env(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut Self {
        self.variable(name.as_ref().as_bytes(), value.as_ref().as_bytes());
        self
    }

    /// Sets environment variables.
    pub fn envs(&mut self, variables: &[(impl AsRef<str>, impl AsRef<str>)]) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Gives the guest the environment of this process.
    pub fn inherit_env(&mut self) -> &mut Self {
        for (name, value) in std::env::vars_os() {
            self.variable(&name.into_vec(), &value.into_vec());
        }
        self
    }

    fn variable(&mut self, name: &[u8], value: &[u8]) {
        let prefix = [name, b"="].concat();
        self.env.retain(|variable| !variable.starts_with(&prefix));
        self.env.push([&prefix, value].concat());
    }

    /// Gives the guest the standard streams of this process.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Gives the guest the standard input of this process.
    pub fn inherit_stdin(&mut self) -> &mut Self {
        self.stdin(Stdio::InheritStdin)
    }

    /// Gives the guest the standard output of this process.
    pub fn inherit_stdout(&mut self) -> &mut Self {
        self.stdout(Stdio::InheritStdout)
    }

    /// Gives the guest the standard error of this process.
    pub fn inherit_stderr(&mut self) -> &mut Self {
        self.stderr(Stdio::InheritStderr)
    }

    /// Sets the standard input: a [`MemoryInputPipe`](crate::MemoryInputPipe), a file, or a [`Stdio`].
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.stdin = stream.into();
        self
    }

    /// Sets the standard output: a [`MemoryOutputPipe`](crate::MemoryOutputPipe), a file, or a [`Stdio`].
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.stdout = stream.into();
        self
    }

    /// Sets the standard error: a [`MemoryOutputPipe`](crate::MemoryOutputPipe), a file, or a [`Stdio`].
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.stderr = stream.into();
        self
    }

    /// Opens the host's directory `host_path` and gives it to the guest under the name `guest_path`. The guest can do
    /// beneath it what `perms` says, and can never leave it.
    ///
    /// # Errors
    ///
    /// If the directory cannot be opened.
    pub fn preopened_dir(
        &mut self,
        host_path: impl AsRef<Path>,
        guest_path: impl AsRef<str>,
        perms: Perms,
    ) -> anyhow::Result<&mut Self> {
        let host_path = host_path.as_ref();
        let dir = Dir::open_ambient(host_path, perms, self.walk).with_context(|| {
            format!(
                "cannot open the directory for the guest: {}; check that it exists and can be read",
                host_path.display()
            )
        })?;
        self.preopens.push((dir, guest_path.as_ref().to_owned()));
        Ok(self)
    }

    /// Gives the guest a directory that is open already. That makes no system call, so a host with many guests opens
    /// the directory once.
    ///
    /// ```
    /// use hotfoot_wasi::host::fs::Dir;
    /// use hotfoot_wasi::{Perms, Walk, WasiCtxBuilder};
    /// # fn main() -> std::io::Result<()> {
    /// let data = Dir::open_ambient(".".as_ref(), Perms::READ_ONLY, Walk::Auto)?;
    /// let guests: Vec<_> = (0..10).map(|_| WasiCtxBuilder::new().opened_dir(&data, "/data").build()).collect();
    /// # Ok(()) }
    /// ```
    pub fn opened_dir(&mut self, dir: &Dir, guest_path: impl AsRef<str>) -> &mut Self {
        self.preopens.push((dir.clone(), guest_path.as_ref().to_owned()));
        self
    }

    /// Gives the guest a socket, usually one that listens. Sockets get the numbers after the directories'.
    ///
    /// # Errors
    ///
    /// If the descriptor is no socket.
    pub fn preopened_socket(&mut self, socket: impl Into<OwnedFd>) -> anyhow::Result<&mut Self> {
        let socket =
            Socket::new(socket.into()).context("cannot give the guest this descriptor as a socket; give one")?;
        self.sockets.push(socket);
        Ok(self)
    }

    /// Sets the clocks: the machine's, or a [`VirtualClock`](crate::VirtualClock).
    pub fn clock(&mut self, clock: impl Into<Clock>) -> &mut Self {
        self.clock = clock.into();
        self
    }

    /// Sets the source of randomness: the kernel, or a seeded sequence.
    pub fn random(&mut self, random: Random) -> &mut Self {
        self.random = random;
        self
    }

    /// Says who walks the paths in the directories given after this call.
    pub fn walk(&mut self, walk: Walk) -> &mut Self {
        self.walk = walk;
        self
    }

    /// The longest that one call of the guest may wait for a clock, a stream, a pipe or a socket; then it gets
    /// `ETIMEDOUT`. Without it the guest waits as long as it likes.
    pub fn max_wait(&mut self, duration: Duration) -> &mut Self {
        self.max_wait = Some(duration);
        self
    }

    /// Whether control characters that the guest writes to a terminal are made visible instead of obeyed. Tab, line
    /// feed and carriage return stay. What goes to anything but a terminal is not touched.
    pub fn protect_terminal(&mut self, protect: bool) -> &mut Self {
        self.protect_terminal = protect;
        self
    }

    /// How many descriptors the guest may have open at once, those given to it included. Default: 256. A directory
    /// that is being listed takes two of the host's.
    pub fn max_descriptors(&mut self, count: usize) -> &mut Self {
        self.descriptors_max = count;
        self
    }

    /// The context. The builder is left as new.
    pub fn build(&mut self) -> WasiCtx {
        let builder = std::mem::take(self);
        let given = 3 + builder.preopens.len() + builder.sockets.len();
        let mut descriptors = Table::new(builder.descriptors_max.max(given));
        let protection = || if builder.protect_terminal { Protection::Wanted } else { Protection::None };
        let streams = [
            Descriptor::stdio(builder.stdin, rights::FD_READ, Protection::None),
            Descriptor::stdio(builder.stdout, rights::FD_WRITE, protection()),
            Descriptor::stdio(builder.stderr, rights::FD_WRITE, protection()),
        ];
        // Directories first: C libraries stop looking for them at the first number that is none.
        let dirs = builder.preopens.into_iter().map(|(dir, name)| Descriptor::preopen(dir, name));
        let sockets = builder.sockets.into_iter().map(Descriptor::socket);
        for descriptor in streams.into_iter().chain(dirs).chain(sockets) {
            // The table has room for everything given: its size was made for it above.
            let _ = descriptors.insert(descriptor);
        }
        WasiCtx {
            args: builder.args,
            env: builder.env,
            clock: builder.clock,
            random: builder.random,
            descriptors,
            max_wait: builder.max_wait,
        }
    }
}
