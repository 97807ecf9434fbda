//! The rules of oslo.config, held against what oslo.config itself answered
//! (`tests/oslo/generate.py`).

use std::fs;
use std::path::PathBuf;

use doctor::{Config, parse};
use serde_json::Value;

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oslo")
        .join(name)
}

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string(place("golden.json")).unwrap()).unwrap()
}

#[test]
fn files_are_parsed_as_oslo_parses_them() {
    let golden = golden();
    let cases = golden["parsed"].as_array().unwrap();
    assert!(cases.len() > 15);
    for case in cases {
        let text = case[0].as_str().unwrap();
        let seen = parse::oslo(text).ok().map(|settings| {
            let rows = settings
                .into_iter()
                .map(|s| vec![s.section, s.key, s.value]);
            rows.collect::<Vec<_>>()
        });
        let expected: Option<Vec<Vec<String>>> = serde_json::from_value(case[1].clone()).unwrap();
        assert_eq!(seen, expected, "{text:?}");
    }
}

/// The files of a command line, a directory's `*.conf` in order.
fn files(arguments: &[Value]) -> Vec<PathBuf> {
    let text = arguments
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("=");
    let mut out = Vec::new();
    for (option, value) in text
        .split("--")
        .filter(|t| !t.is_empty())
        .map(|t| t.trim_end_matches('=').split_once('=').unwrap())
    {
        let path = place("files").join(value.trim_start_matches('@'));
        if option == "config-file" {
            out.push(path);
        } else {
            let mut inside: Vec<PathBuf> = fs::read_dir(path)
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            inside.sort();
            let name = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().to_owned();
            out.extend(
                inside
                    .into_iter()
                    .filter(|p| name(p).ends_with(".conf") && !name(p).starts_with('.')),
            );
        }
    }
    out
}

#[test]
fn values_are_what_oslo_makes_of_them() {
    for case in golden()["effective"].as_array().unwrap() {
        let mut config = Config::default();
        for path in files(case[0].as_array().unwrap()) {
            let settings = parse::oslo(&fs::read_to_string(&path).unwrap()).unwrap();
            config.add(path.to_str().unwrap(), &settings);
        }
        for (name, expected) in case[1].as_object().unwrap() {
            let (section, option) = name.split_once('/').unwrap();
            let seen = config.get(section, option).unwrap();
            match expected.as_str() {
                Some(expected) => assert_eq!(seen, expected, "{name} of {}", case[0]),
                // There oslo.config raises, because no such option exists.
                None => assert!(seen.contains('$'), "{name} of {}: {seen}", case[0]),
            }
        }
    }
}
