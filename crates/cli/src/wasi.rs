//! What a guest sees of the world: its arguments and the standard streams, and of everything else only what options name.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::{Result, anyhow, bail};
use hotfoot_wasi::{WasiCtx, WasiCtxBuilder};
use listenfd::ListenFd;

use crate::args::RunArgs;

/// The guest's context; `own_args` are the arguments after its name.
pub fn context(args: &RunArgs, own_args: &[String]) -> Result<WasiCtx> {
    builder(args, own_args).map(|mut builder| builder.build())
}

/// What the guest's context is built from.
pub fn builder(args: &RunArgs, own_args: &[String]) -> Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdio().protect_terminal(args.protect_terminal);
    builder.arg(args.source.program_name()).args(own_args);
    for var in &args.env {
        let value = match &var.value {
            Some(value) => value.clone(),
            None => std::env::var(&var.name).map_err(|_| {
                anyhow!("there is no variable `{0}` to pass on; give it a value with --env {0}=VALUE", var.name)
            })?,
        };
        builder.env(&var.name, value);
    }
    for directory in &args.directories {
        builder.preopened_dir(&directory.host, &directory.guest, directory.perms).map_err(|error| {
            let host = directory.host.display();
            anyhow!("cannot open the directory `{host}`: {}; check what follows --dir", error.root_cause())
        })?;
    }
    if args.listenfd {
        for socket in inherited_sockets()? {
            builder.preopened_socket(socket)?;
        }
    }
    for address in &args.tcp_listen {
        let listener = TcpListener::bind(address).map_err(|error| {
            anyhow!("cannot listen on `{address}`: {error}; write --tcplisten HOST:PORT, as in 127.0.0.1:8080")
        })?;
        builder.preopened_socket(listener)?;
    }
    Ok(builder)
}

/// The sockets that whoever started this process opened for it.
fn inherited_sockets() -> Result<Vec<OwnedFd>> {
    let mut given = ListenFd::from_env();
    if given.len() == 0 {
        bail!(
            "--listenfd was given, but no socket: LISTEN_FDS or LISTEN_PID is missing or not for this process; \
             start hotfoot from a systemd socket unit or with systemd-socket-activate"
        );
    }
    (0..given.len()).map(|at| inherited_socket(&mut given, at)).collect()
}

fn inherited_socket(given: &mut ListenFd, at: usize) -> Result<OwnedFd> {
    let socket = if let Ok(Some(socket)) = given.take_tcp_listener(at) {
        socket.into()
    } else if let Ok(Some(socket)) = given.take_unix_listener(at) {
        socket.into()
    } else if let Ok(Some(socket)) = given.take_udp_socket(at) {
        socket.into()
    } else if let Ok(Some(socket)) = given.take_unix_datagram(at) {
        socket.into()
    } else {
        bail!("descriptor {} of --listenfd is no TCP, UDP or Unix socket; give hotfoot only such", at + 3);
    };
    Ok(socket)
}
