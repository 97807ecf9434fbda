use super::*;

/// Words of four octets in hex, the driver's name left out, and the parameters.
fn check(request: &Request, header: &str, parameters: &str) {
    let bytes = request.emit();
    assert_eq!(&bytes[8..72], format!("{:\0<64}", "iscsi").as_bytes());
    let words = bytes[..8].chunks(4).chain(bytes[72..120].chunks(4));
    let words: Vec<_> = words
        .map(|word| format!("{:x}", u32::from_ne_bytes(word.try_into().unwrap())))
        .collect();
    assert_eq!(words.join(" "), header);
    assert_eq!(std::str::from_utf8(&bytes[120..]).unwrap(), parameters);
}

#[cfg(target_endian = "little")]
#[test]
fn requests_are_as_tgtadm_sends_them() {
    //            mode op len tid sid.... lun.... cid host type dir pack force
    check(
        &Request::ListTargets,
        "1 2 78 ffffffff 0 0 0 0 0 0 0 0 0 0",
        "",
    );
    check(
        &Request::NewTarget {
            tid: 7,
            name: "iqn.2026-11.x:a".into(),
        },
        "1 0 93 7 0 0 0 0 0 0 0 0 0 0",
        "targetname=iqn.2026-11.x:a\0",
    );
    check(
        &Request::NewLun {
            tid: 7,
            path: "a.raw".into(),
        },
        "2 0 8f 7 0 0 1 0 0 0 0 0 0 0",
        "path=a.raw,bstype=rdwr\0",
    );
    check(
        &Request::NewAccount {
            user: "u".into(),
            secret: "s,t".into(),
        },
        "7 0 8c 0 0 0 0 0 0 0 0 0 0 0",
        "user=u,password=s,t\0",
    );
    check(
        &Request::BindAccount {
            tid: 7,
            user: "u".into(),
        },
        "7 3 7f 7 0 0 0 0 0 0 0 0 0 0",
        "user=u\0",
    );
    check(
        &Request::DeleteTarget { tid: 7 },
        "1 1 78 7 0 0 0 0 0 0 0 0 0 1",
        "",
    );
    check(
        &Request::CloseConnection {
            tid: 7,
            session: 2,
            connection: 3,
        },
        "6 1 78 7 2 0 0 0 3 0 0 0 0 0",
        "",
    );
    check(
        &Request::AdmitAll { tid: 7 },
        "1 3 8e 7 0 0 0 0 0 0 0 0 0 0",
        "initiator-address=ALL\0",
    );
}

#[test]
fn answers() {
    let answer = |error: u32, length: u32| {
        let mut bytes = [0; ANSWER];
        bytes[..4].copy_from_slice(&error.to_ne_bytes());
        bytes[4..].copy_from_slice(&length.to_ne_bytes());
        parse_answer(bytes)
    };
    assert_eq!(answer(0, 8).unwrap(), 0);
    assert_eq!(answer(0, 108).unwrap(), 100);
    for (error, words, kind) in [
        (4, "there is no such target", io::ErrorKind::NotFound),
        (15, "there is no such account", io::ErrorKind::NotFound),
        (20, "the LUN is in use", io::ErrorKind::ResourceBusy),
        (99, "error 99", io::ErrorKind::Other),
    ] {
        let found = answer(error, 8).unwrap_err();
        assert_eq!((found.to_string().as_str(), found.kind()), (words, kind));
    }
    for length in [0, 7, LONGEST + 9, u32::MAX] {
        assert!(answer(0, length).is_err(), "{length}");
    }
}

#[test]
fn a_secret_is_in_no_description() {
    let request = Request::NewAccount {
        user: "u".into(),
        secret: "hidden".into(),
    };
    assert!(!request.doing().contains("hidden"));
}
