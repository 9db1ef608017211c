//! From a config to segments: which stages run as one plan, what they read, and whether they have to run.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use genome_schemas::{
    Component, Fingerprint, FingerprintHasher, Freshness, Manifest, Platform, StaleReason, Table, events,
};
use genome_stages::dedup::Signatures;
use genome_stages::sources::{InputFile, Pseudonymizer, SourceConfig, list_files};
use genome_stages::{ModelStage, Scope, Stage, StageContext};

use crate::config::Project;
use crate::store::{Store, read_manifest};

/// Version of the dump readers: raised when they read the same bytes differently.
const READERS_VERSION: u32 = 7;

/// Stages that run as one plan and end in one artifact.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Indices of its stages in the config; empty for a segment that only ingests.
    pub stages: Vec<usize>,
    /// Whether it runs the index of its one stage ([`Stage::index`]) in place of the stage.
    pub is_index: bool,
    /// Whether it begins with the dumps.
    pub ingests: bool,
    /// Whether it calls a model, and so grows in parts.
    pub calls_model: bool,
    /// Table it reads.
    pub input: Table,
    /// Table it writes.
    pub output: Table,
    /// Further tables it joins.
    pub reads: Vec<Table>,
    /// Name shown to the user, and of the folder but for the fingerprint.
    pub name: String,
}

/// A stage of a segment: one of the config's, or the index of one.
pub enum SegmentStage<'a> {
    /// A stage of the config.
    Config(&'a dyn Stage),
    /// The index of a stage of the config.
    Index(Signatures),
}

impl<'a> std::ops::Deref for SegmentStage<'a> {
    type Target = dyn Stage + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Config(stage) => *stage,
            Self::Index(stage) => stage,
        }
    }
}

impl Segment {
    /// Its stages, in the order in which they run.
    pub fn stages<'a>(&self, project: &'a Project) -> Vec<SegmentStage<'a>> {
        let stages = self.stages.iter().map(|index| project.config.stages[*index].stage());
        if self.is_index {
            stages.filter_map(|stage| stage.index().map(SegmentStage::Index)).collect()
        } else {
            stages.map(SegmentStage::Config).collect()
        }
    }

    /// Whether its joins look up short lists, see [`Stage::looks_up`].
    pub fn looks_up(&self, project: &Project) -> bool {
        self.stages(project).iter().any(|stage| stage.looks_up())
    }

    /// Whether the output replaces the input table for later stages.
    pub fn refines(&self) -> bool {
        !self.ingests && self.input.name == self.output.name
    }
}

/// A segment with its place in the store and its state.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The segment.
    pub segment: Segment,
    /// Folder of its artifact.
    pub folder: PathBuf,
    /// Fingerprint that the artifact must have.
    pub fingerprint: Fingerprint,
    /// What the fingerprint is made from.
    pub components: Vec<Component>,
    /// Artifacts of its input table, as indices of earlier segments.
    pub inputs: Vec<usize>,
    /// Artifacts of the further tables, by name, as indices of earlier segments.
    pub joins: BTreeMap<&'static str, Vec<usize>>,
    /// Whether the artifact that is there can be used.
    pub freshness: Freshness,
    /// Manifest of the artifact that is there.
    pub manifest: Option<Manifest>,
}

/// Cuts the list of stages into segments. Stages over the same table fuse; a new segment starts when the table
/// changes, when a stage needs its input at rest, and around every stage that calls a model.
///
/// # Errors
/// A stage reads a table that nothing before it writes.
pub fn segments(project: &Project) -> Result<Vec<Segment>> {
    let mut segments = vec![Segment {
        stages: Vec::new(),
        is_index: false,
        ingests: true,
        calls_model: false,
        input: events(),
        output: events(),
        reads: Vec::new(),
        name: "ingest".to_owned(),
    }];
    let mut written = std::collections::BTreeSet::from([events().name]);
    for (index, config) in project.config.stages.iter().enumerate() {
        let stage = config.stage();
        let card = stage.card();
        let (input, output) = ((card.input)(), (card.output)());
        let mut reads: Vec<Table> = card.reads.iter().map(|table| table()).collect();
        for table in reads.iter().chain([&input]) {
            if !written.contains(table.name) {
                return Err(anyhow!(
                    "stage {} ({}) reads table `{}`, which no earlier stage writes",
                    index + 1,
                    card.name,
                    table.name
                ));
            }
        }
        if let Some(table) = stage.index() {
            let card = table.card();
            written.insert((card.output)().name);
            reads.push((card.output)());
            segments.push(Segment {
                stages: vec![index],
                is_index: true,
                ingests: false,
                calls_model: false,
                input: (card.input)(),
                output: (card.output)(),
                reads: Vec::new(),
                name: segment_name(&table),
            });
        }
        let calls_model = stage.model_stage().is_some();
        let fuses = segments.last().is_some_and(|last| {
            last.output.name == input.name
                && output.name == input.name
                && !card.at_rest
                // What it joins may be too long a list to be held.
                && (reads.is_empty() || !last.looks_up(project))
                && !calls_model
                && !last.calls_model
                // What an ingest segment reads is only whole once it is stored.
                && (card.scope == Scope::Row || !last.ingests)
        });
        written.insert(output.name);
        let name = segment_name(stage);
        match segments.last_mut() {
            Some(last) if fuses => {
                last.stages.push(index);
                last.name = name;
                last.reads.extend(reads);
            }
            _ => segments.push(Segment {
                stages: vec![index],
                is_index: false,
                ingests: false,
                calls_model,
                input,
                output,
                reads,
                name,
            }),
        }
    }
    Ok(segments)
}

fn segment_name(stage: &dyn Stage) -> String {
    let detail = stage.detail();
    let name = stage.card().name;
    // Several stages of one kind are told apart by what they ask.
    if detail.is_empty() { name.to_owned() } else { format!("{name}-{detail}") }
}

/// Plans every segment: folder, fingerprint, freshness.
///
/// # Errors
/// A dump cannot be read, an asset does not exist, or a manifest is damaged.
pub fn plan(project: &Project, cx: &StageContext, store: &Store) -> Result<Vec<Planned>> {
    let mut planned: Vec<Planned> = Vec::new();
    // Which segments hold each table at this point of the list.
    let mut holders: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for segment in segments(project)? {
        let mut own = Vec::new();
        if segment.ingests {
            own.extend(dump_components(project)?);
        }
        for (index, stage) in segment.stages.iter().zip(segment.stages(project)) {
            own.extend(stage_components(project, *index, &stage, cx)?);
        }
        let identity = fingerprint("genome segment", &identity(project, &segment, &own)?);
        let inputs = if segment.ingests {
            Vec::new()
        } else {
            holders.get(segment.input.name).cloned().unwrap_or_default()
        };
        let joins: BTreeMap<&'static str, Vec<usize>> = segment
            .reads
            .iter()
            .map(|table| (table.name, holders.get(table.name).cloned().unwrap_or_default()))
            .collect();
        let mut components = own;
        for (table, indices) in
            std::iter::once((segment.input.name, &inputs)).chain(joins.iter().map(|(name, v)| (*name, v)))
        {
            components.extend(indices.iter().map(|i| Component {
                label: format!("input:{table}/{}", planned[*i].segment.name),
                value: planned[*i].fingerprint.to_string(),
            }));
        }
        let fingerprint = fingerprint("genome artifact", &components);
        let folder = store.folder(segment.output.name, &format!("{}-{}", segment.name, identity.short()));
        if planned.iter().any(|other| other.folder == folder) {
            return Err(anyhow!(
                "two stages {} say the same, so that one's results would take the place of the other's; leave one out, or let \
                 them differ (a synthesis in its seed)",
                segment.name
            ));
        }
        let manifest = read_manifest(&folder)?;
        let freshness = freshness(store, &segment, &fingerprint, &components, manifest.as_ref())?;
        let place = planned.len();
        let of_table = holders.entry(segment.output.name).or_default();
        // An index is that of the next stage alone.
        if segment.refines() || segment.ingests || segment.is_index {
            of_table.clear();
        }
        of_table.push(place);
        planned.push(Planned {
            segment,
            folder,
            fingerprint,
            components,
            inputs,
            joins,
            freshness,
            manifest,
        });
    }
    Ok(planned)
}

fn freshness(
    store: &Store,
    segment: &Segment,
    fingerprint: &Fingerprint,
    components: &[Component],
    manifest: Option<&Manifest>,
) -> Result<Freshness> {
    if let Some(manifest) = manifest {
        if manifest.fingerprint == *fingerprint {
            return Ok(Freshness::Fresh);
        }
        let reason = StaleReason::between(&manifest.components, components);
        return Ok(Freshness::Stale(reason.unwrap_or(StaleReason::NeverBuilt)));
    }
    // Another artifact of the same stages, made from another config: tell the difference.
    let others = store.manifests(segment.output.name, &format!("{}-", segment.name))?;
    let reason = others.values().find_map(|m| StaleReason::between(&m.components, components));
    Ok(Freshness::Stale(reason.unwrap_or(StaleReason::NeverBuilt)))
}

fn fingerprint(domain: &str, components: &[Component]) -> Fingerprint {
    let mut hasher = FingerprintHasher::new(domain);
    for component in components {
        hasher.part(&component.label, &component.value);
    }
    hasher.finish()
}

/// What the folder of a segment is named by: for one that calls a model, without what only says which calls are made, so that
/// more of them, or fewer, find the answers that are there.
fn identity(project: &Project, segment: &Segment, components: &[Component]) -> Result<Vec<Component>> {
    let mut components = components.to_vec();
    for (index, stage) in segment.stages.iter().zip(segment.stages(project)) {
        let selecting = stage.model_stage().map_or(&[][..], ModelStage::selecting_keys);
        let label = config_label(stage.card().name);
        if let Some(config) = components.iter_mut().find(|component| component.label == label)
            && !selecting.is_empty()
        {
            config.value = config_without(project, *index, &[selecting, stage.idle_keys()].concat())?;
        }
    }
    Ok(components)
}

fn config_label(stage: &str) -> String {
    format!("config:{stage}")
}

/// The config of a stage as JSON, without some of its keys.
fn config_without(project: &Project, index: usize, keys: &[&str]) -> Result<String> {
    let stage = &project.config.stages[index];
    if keys.is_empty() {
        return Ok(serde_json::to_string(stage)?);
    }
    let mut value = serde_json::to_value(stage)?;
    for config in value.as_object_mut().into_iter().flat_map(|stage| stage.values_mut()) {
        if let Some(config) = config.as_object_mut() {
            config.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
    Ok(value.to_string())
}

fn stage_components(
    project: &Project,
    index: usize,
    stage: &SegmentStage<'_>,
    cx: &StageContext,
) -> Result<Vec<Component>> {
    let card = stage.card();
    let label = format!("{} {}", index + 1, card.name);
    let config = match stage {
        SegmentStage::Config(stage) => config_without(project, index, stage.idle_keys())?,
        SegmentStage::Index(stage) => serde_json::to_string(stage)?,
    };
    let mut components = vec![
        Component { label: config_label(card.name), value: config },
        Component { label: format!("version:{}", card.name), value: card.version.to_string() },
    ];
    for asset in stage.assets(cx).with_context(|| format!("stage {label}"))? {
        components.push(Component { label: format!("asset:{}", asset.name), value: asset.digest });
    }
    Ok(components)
}

fn dump_components(project: &Project) -> Result<Vec<Component>> {
    let secret = project.author_fingerprint()?;
    let names = Pseudonymizer::from_secret(project.author_key()?);
    let mut components = vec![
        Component { label: "version:dump readers".to_owned(), value: READERS_VERSION.to_string() },
        Component {
            label: "config:reader".to_owned(),
            value: serde_json::to_string(&project.config.reader)?,
        },
        Component { label: "config:authors".to_owned(), value: secret.short().to_owned() },
    ];
    for source in &project.config.sources {
        let mut without_paths = source.clone();
        without_paths.paths.clear();
        // A handle may not stand in the store.
        if let Some(author) = without_paths.csv.as_mut().and_then(|csv| csv.author.as_mut()) {
            names.author_id(source.platform, author).as_str().clone_into(author);
        }
        components.push(Component {
            label: format!("config:source {}", source.name),
            value: serde_json::to_string(&without_paths)?,
        });
        let mut files = Vec::new();
        for file in list_files(source)? {
            let content = match (file.location.local(), &file.version) {
                (Some(path), _) => digest(path)?,
                // Objects are known by what their store says of them, so that they are not fetched to be hashed.
                (None, version) => format!("{} {}", version.as_deref().unwrap_or_default(), file.bytes),
            };
            files.push(file_component(source, &file, content, &names));
        }
        // By name and content, not by path.
        files.sort_by(|a, b| (&a.label, &a.value).cmp(&(&b.label, &b.value)));
        components.extend(files);
    }
    Ok(components)
}

/// A dump file in a fingerprint. Files are known by name, not by place: a moved folder of dumps is the same input. Files
/// of Twitter are often named after their author, and single blogs always, and so they are known by their content; that of
/// a blog with its name, which is data too. In names of Reddit's files, handles of profiles are pseudonyms.
fn file_component(
    source: &SourceConfig,
    file: &InputFile,
    content: String,
    names: &Pseudonymizer,
) -> Component {
    let name = file.name_without_profiles(source.platform, names);
    let is_blog = source.platform == Platform::Blogger && is_single_blog(&name);
    let value = if is_blog {
        let mut hasher = FingerprintHasher::new("genome blog");
        hasher.part("name", &name).part("content", &content).finish().to_string()
    } else {
        content
    };
    let is_archive = is_blog || source.platform == Platform::Twitter;
    let name = if is_archive { format!("archive {}", value.get(..8).unwrap_or(&value)) } else { name };
    Component { label: format!("file:{}/{name}", source.name), value }
}

/// Whether a file of Blogger, packed or not, is one blog: `<blog id>.<gender>.<age>.<topic>.<sign>.xml`, or
/// `<author>.xml`.
fn is_single_blog(name: &str) -> bool {
    name.split('.').any(|part| part.eq_ignore_ascii_case("xml"))
}

/// Digest of the content of a file, or of the names and contents of all files of a folder.
///
/// # Errors
/// One cannot be read.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    if path.is_dir() {
        for file in files_below(path)? {
            let name: Vec<String> = file
                .strip_prefix(path)
                .unwrap_or(&file)
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            let name = name.join("/");
            let facts = file.metadata().with_context(|| format!("cannot read {}", file.display()))?;
            // With the lengths, no other names and contents give the same bytes.
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(&facts.len().to_le_bytes());
            add_content(&mut hasher, &file)?;
        }
    } else {
        add_content(&mut hasher, path)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn add_content(hasher: &mut blake3::Hasher, file: &Path) -> Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    hasher.update_reader(opened).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(())
}

/// All files in a folder and its subfolders, in the order of their paths. A link that leads back to a folder it lies in is
/// not followed.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn below(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
        let own = folder.canonicalize()?;
        if above.contains(&own) {
            return Ok(());
        }
        above.push(own);
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?.path();
            if entry.is_dir() { below(&entry, above, files)? } else { files.push(entry) }
        }
        above.pop();
        Ok(())
    }
    let mut files = Vec::new();
    below(folder, &mut Vec::new(), &mut files)?;
    files.sort();
    Ok(files)
}

/// Wall seconds and row counts in words, for manifests' readers.
pub fn describe(planned: &Planned) -> String {
    match (&planned.freshness, &planned.manifest) {
        (Freshness::Fresh, Some(manifest)) => {
            let rows: u64 = manifest.rows.values().sum();
            let kept = manifest.rows.get("kept").copied().unwrap_or(0);
            format!("fresh ({kept} kept of {rows} rows)")
        }
        (Freshness::Fresh, None) => "fresh".to_owned(),
        (Freshness::Stale(reason), _) => format!("will run: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use genome_stages::sources::Location;

    use super::*;
    use crate::store::write_atomically;

    /// A folder with some files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_atomically(&path, text.as_bytes()).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_known_by_the_names_and_contents_in_it() {
        let of = |files: &[(&str, &str)]| digest(folder(files).path()).unwrap();
        let blog = "5.male.24.Student.Aries.xml";
        let known = of(&[(blog, "<Blog>"), ("old/6.xml", "a post")]);
        assert_eq!(known, of(&[("old/6.xml", "a post"), (blog, "<Blog>")]), "wherever it lies");
        for other in [
            [("5.female.24.Student.Aries.xml", "<Blog>"), ("old/6.xml", "a post")],
            [(blog, "<Blog>"), ("new/6.xml", "a post")],
            [(blog, "<Blog>a"), ("old/6.xml", " post")],
            [(blog, "<Blog>"), ("old/6.xml", "a post.")],
        ] {
            assert_ne!(known, of(&other), "{other:?}");
        }
    }

    #[test]
    fn a_blog_is_known_by_its_name_which_is_not_told() {
        let of = |name: &str| -> Component {
            let folder = folder(&[(name, "<Blog><post>Rain again.</post></Blog>")]);
            let source: SourceConfig = serde_json::from_value(serde_json::json!({
                "name": "blogs", "platform": "blogger", "paths": [folder.path().join(name)],
            }))
            .unwrap();
            let file = list_files(&source).unwrap().remove(0);
            let content = digest(file.location.local().unwrap()).unwrap();
            file_component(&source, &file, content, &Pseudonymizer::from_secret("test"))
        };
        let known = of("5.male.24.Student.Aries.xml");
        assert_eq!(known, of("5.male.24.Student.Aries.xml"));
        for other in
            ["5.female.24.Student.Aries.xml", "5.male.24.Student.Aries.xml.gz", "ann_of_the_quay.xml"]
        {
            let component = of(other);
            assert_ne!(known.value, component.value, "{other}");
            assert!(component.label.starts_with("file:blogs/archive "), "{}", component.label);
        }
        assert_eq!(of("blogs.zip").label, "file:blogs/blogs.zip");
    }

    #[test]
    fn profiles_of_reddit_are_not_told() {
        let names = Pseudonymizer::from_secret("test");
        let source: SourceConfig = serde_json::from_value(serde_json::json!({
            "name": "posts", "platform": "reddit", "paths": ["anywhere"],
        }))
        .unwrap();
        let grace = names.author_id(Platform::Reddit, "grace");
        for (name, shown) in [
            ("U_Grace_comments.zst", format!("U_user_{}_comments.zst", grace.short())),
            ("RC_2020-01.zst", "RC_2020-01.zst".to_owned()),
        ] {
            let location = Location::parse(name).unwrap();
            let file = InputFile { location, bytes: 0, version: None };
            let component = file_component(&source, &file, "content".to_owned(), &names);
            assert_eq!(component.label, format!("file:posts/{shown}"));
            assert_eq!(component.value, "content");
        }
    }
}
