//! A disk that fills up while a run writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Ran, finish};
use crate::support::project::Project;
use crate::support::{configs, files};

/// A small disk of its own, mounted at a folder; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted =
            mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &folder.display().to_string()]);
        mounted.then(|| Self(folder.to_path_buf()))
    }

    fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}"), &self.0.display().to_string()]));
    }
}

fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success());
        assert!(unmounted || std::thread::panicking(), "{} is still mounted", self.0.display());
    }
}

fn tiny() -> Project {
    let project = Project::new(configs::TINY);
    // Enough records that the first artifacts do not fit.
    let mut dump = configs::tiny_dump();
    for number in 0..2000_u64 {
        let noise: Vec<String> =
            (0..20).map(|i| format!("{:x}", (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ i))).collect();
        dump += &serde_json::json!({
            "id": format!("n{number}"), "author": format!("passer_by_{number}"), "body": noise.join(" "), "link_id": "t3_post1",
            "parent_id": "t3_post1", "created_utc": 1_680_000_000, "subreddit": "smallboats",
        })
        .to_string();
        dump.push('\n');
    }
    project.write("dump.jsonl", dump);
    project
}

/// After a run that could not write: it says so, and nothing half-written is taken for a whole.
fn failed_clearly(project: &Project, ran: &Ran, reasons: &[&str]) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("error: "), "{}", ran.stderr);
    assert!(reasons.iter().any(|reason| ran.stderr.contains(reason)), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!project.path("shards").join("checksums.txt").exists());
    for file in files(&project.path("store"), ".parquet") {
        let part = file.parent().unwrap().parent().unwrap();
        if part.file_name().unwrap().to_string_lossy().starts_with(".building-") {
            // Has not got its name: nobody takes it for a part, and the next run removes it.
            continue;
        }
        let folder = part.parent().unwrap().to_path_buf();
        assert!(folder.join("manifest.json").exists(), "a part without a manifest: {}", folder.display());
    }
    let report = project.genome(&["report", "genome.toml"]);
    assert_eq!(report.code, Some(2), "a report on half a run: {report:?}");
}

#[test]
fn a_full_disk() {
    let project = tiny();
    let Some(disk) = SmallDisk::mount(&project.path("store"), "64k") else {
        println!(
            "SKIPPED: this user may not mount a small disk; files_that_may_not_grow covers a part of it"
        );
        return;
    };
    for size in ["64k", "300k", "500k"] {
        disk.grow(size);
        let ran = project.genome(&["run", "genome.toml"]);
        if size != "500k" || ran.code != Some(0) {
            failed_clearly(&project, &ran, &["No space left on device", "no space is left on the disk"]);
        }
    }
    disk.grow("64m");
    project.genome(&["run", "genome.toml"]).succeeded();
    project.genome(&["report", "genome.toml"]).succeeded();
    let elsewhere = tiny();
    elsewhere.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(project.checksums(), elsewhere.checksums());
}

#[test]
fn a_disk_that_is_full_when_the_shards_are_written() {
    let project = tiny();
    project.change_config("path = \"shards\"", "path = \"small/shards\"");
    let Some(disk) = SmallDisk::mount(&project.path("small"), "16k") else {
        println!("SKIPPED: this user may not mount a small disk");
        return;
    };
    let ran = project.genome(&["run", "genome.toml"]).failed();
    assert!(ran.stderr.contains("no space is left on the disk"), "{}", ran.stderr);
    assert!(!project.path("small/shards").exists());
    assert!(files(&project.path("small"), "").is_empty(), "{:?}", files(&project.path("small"), ""));
    disk.grow("64m");
    project.genome(&["run", "genome.toml"]).succeeded();
    assert!(project.path("small/shards/checksums.txt").is_file());
}

/// The same by a limit on the size of files, which needs no rights.
#[test]
fn files_that_may_not_grow() {
    let project = tiny();
    let limited = |blocks: u32| {
        let program = project.command(&["run", "genome.toml"]);
        let mut shell = Command::new("sh");
        // Without the trap, the signal would end the program before it can say anything.
        shell
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""))
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap())
            .env_clear();
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap());
        }
        finish(shell)
    };
    let ran = limited(64);
    failed_clearly(&project, &ran, &["File too large"]);
    project.genome(&["run", "genome.toml"]).succeeded();
}
