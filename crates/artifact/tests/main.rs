//! An artifact reads back what was written, and damaged bytes are refused without a panic.

use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{
    Address, Artifact, CallSite, CodeRange, EntityIndex, EntityType, Export, FuncType, FunctionName, Handler, Header,
    Import, ModuleInfo, Parts, ReadError, Tables, Trampolines, Trap, ValType,
};

fn parts() -> Parts {
    Parts {
        header: Header {
            target: "x86_64-unknown-linux-gnu".into(),
            settings: vec!["opt_level=speed".into()],
            isa_flags: vec!["has_avx".into()],
            tunables: hotfoot_abi::tunables::Tunables::default(),
        },
        info: ModuleInfo {
            types: vec![FuncType { params: vec![ValType::I32], results: vec![] }],
            imports: vec![Import { module: "env".into(), name: "f".into(), ty: EntityType::Func(0) }],
            exports: vec![Export { name: "run".into(), entity: EntityIndex::Func(1) }],
            num_funcs: 3,
            escaping_funcs: 1,
            ..ModuleInfo::default()
        },
        text: vec![0x90; 100],
        data: b"some data".to_vec(),
        tables: Tables {
            functions: vec![
                CodeRange { offset: 0.into(), len: 10.into() },
                CodeRange { offset: 16.into(), len: 4.into() },
            ],
            function_types: vec![0, 0, 0],
            escaping: vec![1],
            trampolines: vec![Trampolines { entry: 32.into(), host: 48.into() }],
            elements: vec![1, u32::MAX],
            traps: vec![Trap { offset: 3, code: 2 }, Trap { offset: 17, code: 10 }],
            addresses: vec![
                Address { code: 0.into(), wasm: 100.into() },
                Address { code: 5.into(), wasm: u32::MAX.into() },
                Address { code: 16.into(), wasm: 200.into() },
            ],
            call_sites: vec![CallSite {
                return_offset: 8.into(),
                frame_size: 32.into(),
                context: 16.into(),
                first: 0.into(),
                count: 1.into(),
            }],
            handlers: vec![Handler { catch: 6.into(), code: 9.into() }],
            names: vec![FunctionName { function: 1, name: "début".into() }],
        },
    }
}

#[test]
fn what_was_written_is_read() {
    let parts = parts();
    let bytes = parts.write();
    assert_eq!(bytes, parts.write(), "the same parts give the same bytes");
    let artifact = Artifact::parse(&bytes).unwrap();
    assert_eq!(artifact.header, parts.header);
    assert_eq!(artifact.info().unwrap(), parts.info);
    assert_eq!(artifact.text, parts.text);
    assert_eq!(artifact.data, parts.data);
    assert_eq!(artifact.text_range.start % 4096, 0);
    assert_eq!(&bytes[artifact.data_range.clone()], b"some data");
    assert_eq!(artifact.trap_at(17), Some(TrapCode::UnreachableCodeReached));
    assert_eq!(artifact.trap_at(16), None);
    let (site, handlers) = artifact.handlers_at(8).unwrap();
    assert_eq!((site.frame_size.get(), handlers), (32, parts.tables.handlers.as_slice()));
    assert!(artifact.handlers_at(9).is_none());
    assert_eq!(artifact.function_at(9), Some(0));
    assert_eq!(artifact.function_at(12), None, "padding between functions belongs to none");
    assert_eq!(artifact.function_at(19), Some(1));
    assert_eq!(artifact.wasm_offset_at(4), Some(100));
    assert_eq!(artifact.wasm_offset_at(6), None);
    assert_eq!(artifact.wasm_offset_at(18), Some(200));
    assert_eq!(artifact.function_name(1), Some("début"));
    assert_eq!(artifact.function_name(2), None);
    assert_eq!(artifact.escaping_slot(1), Some(0));
    assert_eq!(artifact.escaping_slot(2), None);
}

#[test]
fn an_empty_module_has_an_artifact() {
    let mut parts = parts();
    (parts.info, parts.text, parts.data, parts.tables) = Default::default();
    let bytes = parts.write();
    assert_eq!(Artifact::parse(&bytes).unwrap().info().unwrap(), ModuleInfo::default());
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = parts().write();
    assert!(matches!(Artifact::parse(b"hello"), Err(ReadError::NotAnArtifact(_))));
    for len in 0..bytes.len() {
        assert!(Artifact::parse(&bytes[..len]).and_then(|artifact| artifact.info()).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(artifact) = Artifact::parse(&damaged) {
            let _ = artifact.info();
            let _ = artifact.function_name(1);
        }
    }
}
