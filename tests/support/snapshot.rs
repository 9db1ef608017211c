//! Expectations in files: compared, or rewritten with `UPDATE=1`.

use std::path::Path;

use super::root;

/// Whether expectations are to be rewritten.
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Compares `actual` with `tests/snapshots/<name>`.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, actual: &str) {
    assert_file(&root().join("tests/snapshots").join(name), actual);
}

/// Compares `actual` with a file that holds what is expected.
#[track_caller]
pub(crate) fn assert_file(path: &Path, actual: &str) {
    let actual = format!("{}\n", actual.trim_end());
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return;
    }
    if updating() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, actual).unwrap();
        return;
    }
    panic!("{} differs; UPDATE=1 rewrites it\n{}", path.display(), difference(&expected, &actual));
}

/// The lines between the common head and the common tail of two texts.
fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let removed = old[head..old.len() - tail].iter().map(|line| format!("- {line}"));
    let added = new[head..new.len() - tail].iter().map(|line| format!("+ {line}"));
    format!("from line {}:\n{}", head + 1, removed.chain(added).collect::<Vec<_>>().join("\n"))
}
