//! Links that lead to a person: profiles, and links that carry an address or a secret.

use std::ops::Range;

use super::scan::{link_at, link_end};

/// Where the name of somebody stands in the paths of a site.
enum Path {
    /// Directly behind the host, but for the words that the site keeps for itself.
    Name(&'static [&'static str]),
    /// Behind one of these beginnings.
    Behind(&'static [&'static str]),
    /// Directly behind the host and nothing after it, but for the words that the site keeps.
    Alone(&'static [&'static str]),
}

/// Sites with profiles, by the end of their host.
const SITES: &[(&str, Path)] = &[
    ("facebook.com", Path::Name(FACEBOOK)),
    ("fb.com", Path::Name(FACEBOOK)),
    ("m.me", Path::Name(&[])),
    (
        "instagram.com",
        Path::Name(&[
            "p",
            "reel",
            "reels",
            "explore",
            "stories",
            "tv",
            "about",
            "accounts",
            "developer",
            "legal",
        ]),
    ),
    ("twitter.com", Path::Name(TWITTER)),
    ("x.com", Path::Name(TWITTER)),
    ("linkedin.com", Path::Behind(&["in/", "pub/"])),
    ("reddit.com", Path::Behind(&["user/", "u/"])),
    ("tiktok.com", Path::Behind(&["@"])),
    ("threads.net", Path::Behind(&["@"])),
    ("medium.com", Path::Behind(&["@"])),
    ("youtube.com", Path::Behind(&["@", "user/", "c/"])),
    ("t.me", Path::Name(&["s", "joinchat", "share", "addstickers", "proxy"])),
    ("telegram.me", Path::Name(&["joinchat", "share"])),
    ("wa.me", Path::Name(&[])),
    ("snapchat.com", Path::Behind(&["add/", "@"])),
    ("bsky.app", Path::Behind(&["profile/"])),
    ("keybase.io", Path::Alone(&["docs", "download", "team", "blog"])),
    ("github.com", Path::Alone(GITHUB)),
    ("gitlab.com", Path::Alone(&["explore", "users", "help"])),
    ("steamcommunity.com", Path::Behind(&["id/", "profiles/"])),
    ("twitch.tv", Path::Alone(&["directory", "p", "downloads", "jobs", "store", "videos"])),
    ("soundcloud.com", Path::Alone(&["discover", "stream", "search", "upload", "charts", "pages"])),
    ("pinterest.com", Path::Alone(&["pin", "search", "explore", "ideas", "categories"])),
    ("flickr.com", Path::Behind(&["people/", "photos/"])),
    ("myspace.com", Path::Alone(&["discover", "search", "music"])),
    ("vk.com", Path::Alone(&["feed", "search", "video", "away.php"])),
    ("last.fm", Path::Behind(&["user/"])),
    ("patreon.com", Path::Alone(&["posts", "search", "explore", "c", "login"])),
    ("onlyfans.com", Path::Alone(&["terms", "privacy"])),
    ("ko-fi.com", Path::Alone(&["explore", "about"])),
    ("paypal.me", Path::Name(&[])),
    ("paypal.com", Path::Behind(&["paypalme/"])),
    ("venmo.com", Path::Alone(&["about", "legal", "business"])),
    ("cash.app", Path::Behind(&["$"])),
    ("discord.com", Path::Behind(&["users/"])),
    ("discordapp.com", Path::Behind(&["users/"])),
];

const FACEBOOK: &[&str] = &[
    "groups",
    "events",
    "pages",
    "watch",
    "share",
    "sharer",
    "sharer.php",
    "share.php",
    "help",
    "photo",
    "photo.php",
    "photos",
    "video",
    "video.php",
    "videos",
    "hashtag",
    "marketplace",
    "login",
    "login.php",
    "policies",
    "policy.php",
    "dialog",
    "plugins",
    "l.php",
    "tr",
    "ads",
    "business",
    "notes",
    "note.php",
    "story.php",
    "permalink.php",
    "apps",
    "home.php",
    "legal",
    "media",
    "gaming",
    "sharer",
    "topic",
    "topic.php",
    "group.php",
    "event.php",
    "search",
    "reel",
];

const TWITTER: &[&str] = &[
    "search",
    "hashtag",
    "i",
    "intent",
    "home",
    "share",
    "explore",
    "settings",
    "login",
    "signup",
    "about",
    "tos",
    "privacy",
    "download",
    "statuses",
    "en",
    "who_to_follow",
    "notifications",
    "messages",
    "jobs",
    "account",
];

const GITHUB: &[&str] = &[
    "features",
    "about",
    "topics",
    "explore",
    "trending",
    "marketplace",
    "pricing",
    "login",
    "join",
    "settings",
    "notifications",
    "issues",
    "pulls",
    "collections",
    "sponsors",
    "security",
    "contact",
    "site",
    "new",
    "search",
    "enterprise",
    "readme",
    "orgs",
    "team",
    "customer-stories",
    "stars",
    "events",
    "apps",
    "blog",
    "mobile",
];

/// Parameters whose value lets somebody in.
const SECRETS: [&str; 14] = [
    "token",
    "access_token",
    "auth_token",
    "refresh_token",
    "id_token",
    "api_key",
    "apikey",
    "key_secret",
    "session",
    "sessionid",
    "session_id",
    "password",
    "passwd",
    "pwd",
];

/// Byte ranges of the links of a text that lead to a person.
pub(super) fn personal_links(text: &str, links: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let bytes = text.as_bytes();
    for slash in memchr::memchr_iter(b'/', bytes) {
        if found.last().is_some_and(|last| slash < last.end) {
            continue;
        }
        // The first slash behind a host, be it in a link with a scheme or one without.
        let start = slash - host_len(&bytes[..slash]);
        let host = &text[start..slash];
        let whole = link_at(links, &(start..slash)).cloned();
        let in_path = whole.as_ref().is_some_and(|link| {
            let scheme = &text[link.start.min(start)..start];
            !(scheme.is_empty()
                || scheme.len() < 24 && scheme.find("://").is_some_and(|at| at + 3 == scheme.len()))
        });
        let touched = text[..start].ends_with(|c: char| c.is_alphanumeric() || c == '@' || c == '_')
            || whole.is_none() && text[..start].ends_with('/');
        if host.len() < 4 || !host.contains('.') || touched || in_path {
            continue;
        }
        let end = whole.as_ref().map_or_else(|| link_end(text, slash), |link| link.end);
        if is_profile(host, &text[slash + 1..end.max(slash + 1)]) {
            found.push(whole.map_or(start, |link| link.start)..end);
        }
    }
    found.extend(links.iter().filter(|link| carries_secret(&text[(*link).clone()])).cloned());
    found
}

/// Length of the host at the end of `before`.
fn host_len(before: &[u8]) -> usize {
    before.iter().rev().take(64).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count()
}

fn is_profile(host: &str, path: &str) -> bool {
    let host = host.to_ascii_lowercase();
    // Pictures and help pages of the sites themselves.
    if ["pic.", "help.", "support.", "developer.", "developers.", "blog.", "about.", "api.", "gist.", "docs."]
        .iter()
        .any(|start| host.starts_with(start))
    {
        return false;
    }
    // `https://example.social/@name`, as servers of the Fediverse have it.
    let of_server =
        path.strip_prefix('@').is_some_and(|name| !host.starts_with("maps.") && is_name(first(name)));
    let site = SITES
        .iter()
        .find(|(end, _)| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    let Some((_, form)) = site else { return of_server };
    let page = first(path);
    match form {
        Path::Name(kept) => {
            let by_number = page == "profile.php" && path.contains("id=");
            // Facebook's pages of people without a name: `people/First-Last/1234`.
            by_number || is_name(page) && !kept.iter().any(|word| page.eq_ignore_ascii_case(word))
        }
        Path::Behind(starts) => starts.iter().any(|start| {
            let behind = path.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
            behind && is_name(first(&path[start.len()..]))
        }),
        // `name.github.com/project` is a page of a project.
        Path::Alone(_)
            if host.matches('.').count() > 1 && !host.starts_with("www.") && !host.starts_with("m.") =>
        {
            false
        }
        Path::Alone(kept) => {
            let rest = path[page.len()..].trim_start_matches('/');
            let alone = rest.is_empty() || rest.starts_with(['?', '#']);
            alone && is_name(page) && !kept.iter().any(|word| page.eq_ignore_ascii_case(word))
        }
    }
}

/// The first part of a path.
fn first(path: &str) -> &str {
    path.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether a part of a path names somebody; the pseudonyms that readers write do not.
fn is_name(part: &str) -> bool {
    let part = part.strip_prefix(['@', '$']).unwrap_or(part);
    part.len() >= 2
        && part.chars().any(char::is_alphanumeric)
        && !part.contains(['<', '%', '*', '{'])
        && !super::handle::is_pseudonym(part)
}

/// Whether a link has an e-mail address in an encoded form or a secret among its parameters.
pub(super) fn carries_secret(link: &str) -> bool {
    let Some((_, query)) = link.split_once(['?', '#']) else { return false };
    query.split(['&', '#', ';']).filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
        let secret = SECRETS.iter().any(|word| name.eq_ignore_ascii_case(word)) && value.len() >= 6;
        let mail = value.find("%40").is_some_and(|at| {
            value[at..].contains('.') && value[..at].bytes().any(|b| b.is_ascii_alphabetic())
        });
        secret || mail
    })
}
