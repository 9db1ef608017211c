//! Which events of a history a prompt shows: as many as fit a budget of tokens, in one window or in several.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use datafusion::error::Result;
use genome_kernels::text::claims::content_words;

use super::recipe::{Packing, Recipe};
use super::view::{AuthorRow, AuthorView, EventView};
use crate::functions::{PromptCounter, Template};

/// Tokens that are left free for what a template writes around numbers that are not known yet, and for events that take more
/// tokens beside each other than alone.
const SLACK: usize = 8;

/// After so many events in a row that do not fit, no shorter one is looked for: counting has its price.
const MOST_IN_VAIN: usize = 32;

/// Histories cut to the budget of a recipe and a model.
pub(super) struct Budget<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) template: &'a Template,
    pub(super) counter: &'a PromptCounter,
}

/// The windows over one history.
#[derive(Debug)]
pub(super) struct Windows {
    /// At least one, each with its prompt; in time order, as are the events in them.
    pub(super) views: Vec<(AuthorView, String)>,
    /// Most tokens of events in a window, as the template shows them.
    pub(super) budget: usize,
}

/// Windows with their prompts.
enum Rendered {
    /// They fit, each with its prompt.
    Fit(Vec<(AuthorView, String)>),
    /// A prompt leaves no room for the answer: so many tokens of events are the most that a window may have.
    TooLong(usize),
}

impl Budget<'_> {
    /// Cuts a history. Texts are shown whole or not at all, and where not all fit, the recipe's packing says which go first.
    pub(super) fn windows(&self, row: &AuthorRow) -> Result<Windows> {
        let head = &self.recipe.head;
        let events = row.views(head.max_context_chars, head.hold_out_last);
        let mut order: Vec<usize> = (0..events.len()).filter(|&at| !events[at].own.is_empty()).collect();
        match head.packing {
            Packing::Oldest => {}
            Packing::Latest => order.reverse(),
            Packing::Informative => {
                order.sort_by_cached_key(|&at| Reverse(content_words(&events[at].own)));
            }
        }
        let empty = AuthorView { platform: row.platform.clone(), events: Vec::new(), left_out: events.len() };
        let frame = self.template.render(&empty)?;
        let around = self.counter.prompt(&head.system, &frame)?;
        let room = self
            .counter
            .context_length()
            .map(|context| context.saturating_sub(around + head.max_tokens + SLACK));
        let wanted = head.max_history_tokens.unwrap_or(usize::MAX);
        let mut budget = room.map_or(wanted, |room| room.min(wanted));

        let mut costs = BTreeMap::new();
        loop {
            let count = |at: usize| self.cost(&events[at], &empty, &frame);
            let mut ranked = self.pack(&order, budget, &mut costs, count)?;
            let windows = loop {
                let mut shown = ranked.clone();
                shown.sort_unstable();
                if let Some(windows) = cut(&shown, &costs, budget, head.max_windows) {
                    break windows;
                }
                ranked.pop();
            };
            match self.render(row, &events, &windows, &costs)? {
                Rendered::Fit(views) => return Ok(Windows { views, budget }),
                // Where the template shows nothing of events, taking some out helps nobody.
                Rendered::TooLong(_) if budget == 0 => {
                    return Ok(Windows { views: vec![(empty, frame)], budget });
                }
                // What events take beside each other is only known now.
                Rendered::TooLong(most) => budget = budget.min(most),
            }
        }
    }

    /// Events that fit all windows together, by rank. A long one that does not fit leaves room for short ones. `costs` are the
    /// tokens of events, which `count` tells of those that are not in it.
    fn pack(
        &self,
        order: &[usize],
        budget: usize,
        costs: &mut BTreeMap<usize, usize>,
        count: impl Fn(usize) -> Result<usize>,
    ) -> Result<Vec<usize>> {
        let head = &self.recipe.head;
        let mut left = budget.saturating_mul(head.max_windows);
        let mut ranked = Vec::new();
        let mut in_vain = 0;
        for &at in order {
            if head.max_events.is_some_and(|most| ranked.len() >= most) || in_vain >= MOST_IN_VAIN {
                break;
            }
            let cost = match costs.entry(at) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(count(at)?),
            };
            if cost > budget.min(left) {
                // One that is too long for any window says nothing of the room that is left.
                in_vain += usize::from(cost <= budget);
                continue;
            }
            in_vain = 0;
            left -= cost;
            ranked.push(at);
        }
        Ok(ranked)
    }

    /// Tokens of an event as the template shows it: of what it says, of what it answers, and of what stands around them.
    /// `frame` is the prompt of `empty`, without any event.
    fn cost(&self, event: &EventView, empty: &AuthorView, frame: &str) -> Result<usize> {
        let one = AuthorView { events: vec![event.clone()], ..empty.clone() };
        let prompt = self.template.render(&one)?;
        self.counter.text(beyond(&prompt, frame))
    }

    fn render(
        &self,
        row: &AuthorRow,
        events: &[EventView],
        windows: &[Vec<usize>],
        costs: &BTreeMap<usize, usize>,
    ) -> Result<Rendered> {
        let head = &self.recipe.head;
        let left_out = events.len() - windows.iter().map(Vec::len).sum::<usize>();
        let mut views = Vec::with_capacity(windows.len());
        for window in windows {
            let view = AuthorView {
                platform: row.platform.clone(),
                events: window.iter().map(|&at| events[at].clone()).collect(),
                left_out,
            };
            let prompt = self.template.render(&view)?;
            if let Some(context) = self.counter.context_length()
                && !window.is_empty()
            {
                let needed = self.counter.prompt(&head.system, &prompt)? + head.max_tokens;
                if needed > context {
                    let used: usize = window.iter().filter_map(|at| costs.get(at)).sum();
                    return Ok(Rendered::TooLong(used.saturating_sub(needed - context)));
                }
            }
            views.push((view, prompt));
        }
        Ok(Rendered::Fit(views))
    }
}

/// Cuts events in time order into at most `most` windows within the budget; none if that needs more.
fn cut(
    shown: &[usize],
    costs: &BTreeMap<usize, usize>,
    budget: usize,
    most: usize,
) -> Option<Vec<Vec<usize>>> {
    let mut windows = vec![Vec::new()];
    let mut used = 0;
    for &at in shown {
        let cost = costs.get(&at).copied().unwrap_or(0);
        if used + cost > budget {
            windows.push(Vec::new());
            used = 0;
        }
        used += cost;
        windows.last_mut()?.push(at);
    }
    (windows.len() <= most.max(1)).then_some(windows)
}

/// What a text has more than another one that begins and ends as it does.
fn beyond<'t>(text: &'t str, other: &str) -> &'t str {
    let common = |(a, b): &(char, char)| a == b;
    let start: usize = text.chars().zip(other.chars()).take_while(common).map(|(c, _)| c.len_utf8()).sum();
    let (text, other) = (&text[start..], &other[start..]);
    let ends = text.chars().rev().zip(other.chars().rev());
    let end: usize = ends.take_while(common).map(|(c, _)| c.len_utf8()).sum();
    &text[..text.len() - end]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use genome_kernels::llm::Prompter;
    use genome_kernels::llm::decoder::toy::{Toy, write_gguf};
    use genome_kernels::llm::decoder::{Family, ModelFiles};

    use super::super::recipe::RecipeLibrary;
    use super::super::view::tests::event;
    use super::*;

    fn recipe(keys: &str, template: &str) -> Arc<Recipe> {
        let file = format!(
            "+++\nname = 'r'\nabout = ''\nover = 'authors'\nsystem = ''\nmax_tokens = 1\n{keys}\n[form]\nfields = []\n+++\n\
             {template}"
        );
        let mut library = RecipeLibrary::default();
        library.add_recipe(&file).unwrap();
        Arc::clone(library.recipe("r").unwrap())
    }

    /// The texts of each window, in a token for three characters, and how many were left out.
    fn shown(keys: &str) -> (Vec<String>, usize) {
        shown_of(keys, &["fivefive5", "a longer text that is long", "abc", "last"])
    }

    fn shown_of(keys: &str, texts: &[&str]) -> (Vec<String>, usize) {
        let recipe = recipe(keys, "{% for event in events %}{{ event.own }}{% endfor %}");
        let template = Template::new("r", &recipe.template).unwrap();
        let events = texts.iter().map(|text| event(text, None)).collect();
        let row = AuthorRow { platform: "reddit".into(), events };
        let budget = Budget { recipe: &recipe, template: &template, counter: &PromptCounter::Estimate };
        let windows = budget.windows(&row).unwrap();
        let left_out = windows.views[0].0.left_out;
        let texts = |(view, prompt): &(AuthorView, String)| {
            let texts: Vec<&str> = view.events.iter().map(|event| event.own.as_str()).collect();
            assert_eq!(texts.concat(), *prompt);
            texts.join("|")
        };
        (windows.views.iter().map(texts).collect(), left_out)
    }

    #[test]
    fn whole_texts_fill_the_budget_and_the_rest_is_counted() {
        let one = |keys: &str, texts: &str, left_out: usize| {
            assert_eq!(shown(keys), (vec![texts.to_owned()], left_out), "{keys}");
        };
        one("max_history_tokens = 4", "fivefive5|abc", 2);
        one("max_history_tokens = 4\npacking = 'latest'", "abc|last", 2);
        one("max_history_tokens = 12\npacking = 'informative'", "fivefive5|a longer text that is long", 2);
        one("max_history_tokens = 99\nmax_events = 2\npacking = 'latest'", "abc|last", 2);
        one("max_history_tokens = 99\nhold_out_last = true", "fivefive5|a longer text that is long|abc", 0);
    }

    #[test]
    fn texts_that_are_too_long_keep_no_short_one_out() {
        let mut texts = vec!["a longer text that is long"; 3 * MOST_IN_VAIN];
        texts.push("abc");
        for packing in ["oldest", "informative"] {
            let keys = format!("max_history_tokens = 4\npacking = '{packing}'");
            assert_eq!(shown_of(&keys, &texts), (vec!["abc".to_owned()], 3 * MOST_IN_VAIN), "{packing}");
        }
    }

    #[test]
    fn a_long_history_has_several_windows_in_time_order() {
        let windows = |keys: &str, texts: &[&str], left_out: usize| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(shown(keys), (texts, left_out), "{keys}");
        };
        windows("max_history_tokens = 9\nmax_windows = 2", &["fivefive5", "a longer text that is long"], 2);
        windows(
            "max_history_tokens = 9\nmax_windows = 3",
            &["fivefive5", "a longer text that is long", "abc|last"],
            0,
        );
        // A text that fits no window is left out; one is never cut.
        windows("max_history_tokens = 3\nmax_windows = 9", &["fivefive5", "abc|last"], 1);
        windows(
            "max_history_tokens = 99\nmax_windows = 9",
            &["fivefive5|a longer text that is long|abc|last"],
            0,
        );
    }

    #[test]
    fn what_a_text_has_more_is_between_what_is_common() {
        for (text, other, expected) in [
            ("a [b] c", "a c", "[b] "),
            ("aa", "a", "a"),
            ("äöä", "ää", "ö"),
            ("a", "a", ""),
            ("", "a", ""),
            ("x", "", "x"),
        ] {
            assert_eq!(beyond(text, other), expected, "{text} {other}");
        }
    }

    #[test]
    fn windows_are_filled_up_to_the_context_of_a_model() {
        const CONTEXT: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        write_gguf(&path, &Toy { context_length: CONTEXT, ..Toy::new(Family::Llama, 1) }).unwrap();
        let counter = PromptCounter::Exact(Arc::new(Prompter::load(&ModelFiles::gguf(path)).unwrap()));
        let texts: Vec<String> = (10..50).map(|day| format!("On day {day} I mended the net.")).collect();
        for template in [
            // More than half of what it writes of a text is its date, and what stands around it.
            "Texts:\n{% for event in events %}\nOn the day of [{{ event.date }}]: {{ event.own }}\n{% endfor %}\nWho?",
            // Of several texts it writes more than of each alone.
            "Texts:\n{% for event in events %}\n{% if loop.length > 1 %}One of several: {% endif %}{{ event.own }}\n\
             {% endfor %}\nWho?",
        ] {
            let recipe = recipe("max_history_tokens = 100_000\nmax_windows = 4", template);
            let template = Template::new("r", &recipe.template).unwrap();
            let events = texts.iter().map(|text| event(text, None)).collect();
            let row = AuthorRow { platform: "reddit".into(), events };
            let budget = Budget { recipe: &recipe, template: &template, counter: &counter };
            let windows = budget.windows(&row).unwrap();
            assert_eq!(windows.views.len(), 4, "{}", recipe.template);
            assert!((1..CONTEXT).contains(&windows.budget));
            let mut shown = Vec::new();
            for (view, prompt) in &windows.views {
                let tokens = counter.prompt("", prompt).unwrap() + 1;
                assert!(
                    view.events.len() > 1 && tokens <= CONTEXT && tokens > CONTEXT / 2,
                    "{tokens}: {prompt}"
                );
                shown.extend(view.events.iter().map(|event| event.own.clone()));
            }
            assert_eq!(shown, texts[..shown.len()], "the oldest, in time order");
            assert!(windows.views.iter().all(|(view, _)| view.left_out == texts.len() - shown.len()));
        }
    }
}
