//! An artifact reads back what was written, and damaged bytes are refused without a panic.

use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{
    Address, Artifact, CallSite, CodeRange, CodeTables, CompositeType, DebugSections, EntityIndex, EntityType, Export,
    FuncType, FunctionName, Handler, Header, INLINED, Import, Inlined, ModuleInfo, Parts, RECOGNISABLE_LEN, ReadError,
    Section, StackMap, SubType, Tables, Trampolines, ValType, is_artifact, sign,
};
use object::{Object, ObjectSection};

fn parts() -> Parts<'static> {
    Parts {
        header: Header {
            target: "x86_64-unknown-linux-gnu".into(),
            settings: vec!["opt_level=speed".into()],
            isa_flags: vec!["has_avx".into()],
            tunables: hotfoot_abi::tunables::Tunables::default(),
        },
        info: ModuleInfo {
            types: vec![SubType::of(CompositeType::Func(FuncType { params: vec![ValType::I32], results: vec![] }))],
            rec_groups: vec![1],
            imports: vec![Import { module: "env".into(), name: "f".into(), ty: EntityType::Func(0) }],
            num_funcs: 3,
            escaping_funcs: 1,
            ..ModuleInfo::default()
        },
        text: vec![0x90; 100],
        data: b"some data",
        tables: Tables {
            functions: vec![
                CodeRange { offset: 0.into(), len: 10.into() },
                CodeRange { offset: 16.into(), len: 4.into() },
            ],
            function_types: &[0, 0, 0],
            escaping: &[1],
            trampolines: vec![Trampolines { entry: 32.into(), host: 48.into() }],
            elements: &[1, u32::MAX],
            exports: Vec::leak(vec![
                Export { name: "run".into(), entity: EntityIndex::Func(1) },
                Export { name: "memory".into(), entity: EntityIndex::Memory(0) },
            ]),
            code: CodeTables {
                trap_offsets: vec![3.into(), 17.into()].into(),
                trap_codes: vec![2, 10].into(),
                addresses: vec![
                    Address { code: 0.into(), wasm: 100.into() },
                    Address { code: 5.into(), wasm: u32::MAX.into() },
                    Address { code: 16.into(), wasm: 200.into() },
                    Address { code: 18.into(), wasm: (INLINED | 1).into() },
                    Address { code: 19.into(), wasm: (INLINED | 2).into() },
                ]
                .into(),
                inlined: vec![
                    Inlined { function: 1.into(), wasm: 300.into(), caller: 202.into() },
                    Inlined { function: 2.into(), wasm: 400.into(), caller: INLINED.into() },
                    Inlined { function: 2.into(), wasm: 401.into(), caller: (INLINED | 2).into() },
                ]
                .into(),
                call_sites: vec![CallSite {
                    return_offset: 8.into(),
                    frame_size: 32.into(),
                    context: 16.into(),
                    first: 0.into(),
                    count: 1.into(),
                }]
                .into(),
                handlers: vec![Handler { catch: 6.into(), code: 9.into() }].into(),
                stack_maps: vec![StackMap { return_offset: 8.into(), first: 0.into(), count: 2.into() }].into(),
                roots: vec![16.into(), 20.into()].into(),
            },
            names: Vec::leak(vec![FunctionName { function: 1, name: "début".into() }]),
        },
        debug: DebugSections { code_start: 40, sections: vec![(".debug_line", &[1, 2, 3])] },
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
    let debug = artifact.debug_info().unwrap();
    assert_eq!((debug.code_start, &debug.sections[..]), (40, &[(".debug_line", &[1, 2, 3][..])][..]));
    assert_eq!(artifact.code.trap_at(17), Some(TrapCode::UnreachableCodeReached));
    assert_eq!(artifact.code.trap_at(16), None);
    let (site, handlers) = artifact.code.handlers_at(8).unwrap();
    assert_eq!((site.frame_size.get(), handlers), (32, &parts.tables.code.handlers[..]));
    assert!(artifact.code.handlers_at(9).is_none());
    assert_eq!(artifact.code.roots_at(8), &parts.tables.code.roots[..]);
    assert!(artifact.code.roots_at(9).is_empty());
    assert_eq!(artifact.function_at(9), Some(0));
    assert_eq!(artifact.function_at(12), None, "padding between functions belongs to none");
    assert_eq!(artifact.function_at(19), Some(1));
    assert_eq!(artifact.code.wasm_offset_at(4), Some(100));
    assert_eq!(artifact.code.wasm_offset_at(6), None);
    assert_eq!(artifact.code.wasm_offset_at(17), Some(200));
    let origins = |offset| -> Vec<(Option<u32>, Option<u32>)> {
        artifact.code.origins_at(offset).map(|origin| (origin.function, origin.wasm_offset)).collect()
    };
    assert_eq!(origins(4), [(None, Some(100))]);
    assert_eq!(origins(6), [(None, None)]);
    assert_eq!(origins(18), [(Some(2), Some(400)), (Some(1), Some(300)), (None, Some(202))]);
    assert_eq!(origins(19), [(Some(2), Some(401)), (None, None)], "a place whose caller is itself ends there");
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
fn exports_are_found_by_name_and_listed_in_order() {
    let bytes = parts().write();
    let artifact = Artifact::parse(&bytes).unwrap();
    let listed: Vec<_> = artifact.exports().collect();
    assert_eq!(listed, [("run", EntityIndex::Func(1)), ("memory", EntityIndex::Memory(0))]);
    for (name, entity) in listed {
        assert_eq!(artifact.export(name), Some(entity));
    }
    assert_eq!(artifact.export("rum"), None);
}

/// What other tools read, read by a parser that we did not write.
#[test]
fn it_is_an_object_file() {
    let (parts, bytes) = (parts(), parts().write());
    let file = object::File::parse(bytes.as_slice()).unwrap();
    assert_eq!((file.architecture(), file.kind()), (object::Architecture::X86_64, object::ObjectKind::Relocatable));
    let names: Vec<&str> = file.sections().map(|section| section.name().unwrap()).collect();
    assert_eq!(names[..Section::COUNT], Section::ALL.map(Section::name));
    let text = file.section_by_name(".text").unwrap();
    assert_eq!((text.kind(), text.data().unwrap()), (object::SectionKind::Text, parts.text.as_slice()));
    assert_eq!(file.section_by_name(".hotfoot.data").unwrap().data().unwrap(), parts.data);
}

/// All that is read before the checksums are compared may be anything.
fn refused(bytes: &[u8]) -> bool {
    let checked = Artifact::parse(bytes).and_then(|artifact| {
        artifact.info()?;
        artifact.check_body()
    });
    checked.is_err()
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = parts().write();
    assert!(!refused(&bytes));
    assert!(matches!(Artifact::parse(b"hello"), Err(ReadError::NotAnArtifact(_))));
    for len in 0..bytes.len() {
        assert!(Artifact::parse(&bytes[..len]).is_err(), "cut at {len}");
    }
    assert!(refused(&[bytes.as_slice(), &[0]].concat()), "one byte more");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        // Nothing but a key covers the signature.
        assert!(refused(&damaged) || SIGNATURE.contains(&at), "a bit of byte {at}");
    }
}

/// Where the signature is; see `head.rs`.
const SIGNATURE: std::ops::Range<usize> = 160..192;

#[test]
fn a_signature_is_worth_its_key() {
    let (ours, theirs) = ([1; 32], [2; 32]);
    let mut bytes = parts().write();
    let refused = |bytes: &[u8], key| {
        let result = Artifact::parse(bytes).and_then(|artifact| artifact.check_signature(key));
        matches!(result, Err(ReadError::Signature(_)))
    };
    assert!(refused(&bytes, &ours), "nobody signed it");
    sign(&mut bytes, &ours).unwrap();
    Artifact::parse(&bytes).unwrap().check_signature(&ours).unwrap();
    Artifact::parse(&bytes).unwrap().check_body().unwrap();
    assert!(refused(&bytes, &theirs));
    for at in SIGNATURE {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(refused(&damaged, &ours), "byte {at}");
    }
    // Who changes the code and mends the checksums cannot mend the signature.
    let mut other = Parts { text: vec![0xcc; 100], ..parts() }.write();
    other[SIGNATURE].copy_from_slice(&bytes[SIGNATURE]);
    assert!(refused(&other, &ours));
}

#[test]
fn artifacts_are_recognised_by_how_they_begin() {
    let bytes = parts().write();
    assert!(is_artifact(&bytes[..RECOGNISABLE_LEN]));
    assert!(!is_artifact(&bytes[..RECOGNISABLE_LEN - 1]));
    assert!(!is_artifact(b"\0asm\x01\0\0\0"));
    let mut other_version = bytes;
    other_version[72] = 99;
    assert!(is_artifact(&other_version));
    assert!(matches!(Artifact::parse(&other_version), Err(ReadError::Version { found: 99 })));
}
