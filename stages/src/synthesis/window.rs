//! Which events of a history a prompt shows: as many as fit a budget of tokens, in one window or in several.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::Result;
use genome_kernels::text::claims::content_words;

use super::recipe::{Packing, Recipe};
use super::view::{AuthorRow, AuthorView, EventView};
use crate::functions::{PromptCounter, Template};

/// Tokens that are left free for what a template writes around numbers that are not known yet.
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
    /// Most tokens of events in a window.
    pub(super) budget: usize,
}

/// Windows with their prompts.
enum Rendered {
    /// They fit, each with its prompt.
    Fit(Vec<(AuthorView, String)>),
    /// Events of the first window whose prompt leaves no room for the answer.
    TooLong(BTreeSet<usize>),
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
            Packing::Informative => order.sort_by_key(|&at| Reverse(content_words(&events[at].own))),
        }
        let empty = AuthorView { platform: row.platform.clone(), events: Vec::new(), left_out: events.len() };
        let around = self.counter.prompt(&head.system, &self.template.render(&empty)?)?;
        let room = self
            .counter
            .context_length()
            .map(|context| context.saturating_sub(around + head.max_tokens + SLACK));
        let wanted = head.max_history_tokens.unwrap_or(usize::MAX);
        let budget = room.map_or(wanted, |room| room.min(wanted));

        let (mut ranked, costs) = self.pack(&events, &order, budget)?;
        loop {
            let mut shown = ranked.clone();
            shown.sort_unstable();
            let Some(cut) = cut(&shown, &costs, budget, head.max_windows) else {
                ranked.pop();
                continue;
            };
            match self.render(row, &events, &cut)? {
                Rendered::Fit(views) => return Ok(Windows { views, budget }),
                // What stands around each event is only known now.
                Rendered::TooLong(too_long) => {
                    let last = ranked.iter().rposition(|at| too_long.contains(at));
                    match last {
                        Some(last) => drop(ranked.remove(last)),
                        None => return Ok(Windows { views: vec![(empty, String::new())], budget }),
                    }
                }
            }
        }
    }

    /// Events that fit all windows together, by rank, and the tokens of each of them: of the person's words and of what they
    /// answered. A long one that does not fit leaves room for short ones.
    fn pack(
        &self,
        events: &[EventView],
        order: &[usize],
        budget: usize,
    ) -> Result<(Vec<usize>, BTreeMap<usize, usize>)> {
        let head = &self.recipe.head;
        let mut left = budget.saturating_mul(head.max_windows);
        let mut ranked = Vec::new();
        let mut costs = BTreeMap::new();
        let mut in_vain = 0;
        for &at in order {
            if head.max_events.is_some_and(|most| ranked.len() >= most) || in_vain >= MOST_IN_VAIN {
                break;
            }
            let event = &events[at];
            let context = event.context.iter().map(|message| self.counter.text(&message.content));
            let cost = self.counter.text(&event.own)? + context.sum::<Result<usize>>()?;
            if cost > budget.min(left) {
                // One that is too long for any window says nothing of the room that is left.
                in_vain += usize::from(cost <= budget);
                continue;
            }
            in_vain = 0;
            left -= cost;
            ranked.push(at);
            costs.insert(at, cost);
        }
        Ok((ranked, costs))
    }

    fn render(&self, row: &AuthorRow, events: &[EventView], cut: &[Vec<usize>]) -> Result<Rendered> {
        let head = &self.recipe.head;
        let left_out = events.len() - cut.iter().map(Vec::len).sum::<usize>();
        let mut views = Vec::with_capacity(cut.len());
        for window in cut {
            let view = AuthorView {
                platform: row.platform.clone(),
                events: window.iter().map(|&at| events[at].clone()).collect(),
                left_out,
            };
            let prompt = self.template.render(&view)?;
            if let Some(context) = self.counter.context_length()
                && !window.is_empty()
                && self.counter.prompt(&head.system, &prompt)? + head.max_tokens > context
            {
                return Ok(Rendered::TooLong(window.iter().copied().collect()));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::recipe::RecipeLibrary;
    use super::super::view::tests::event;
    use super::*;

    /// The texts of each window, in a token for three characters, and how many were left out.
    fn shown(keys: &str) -> (Vec<String>, usize) {
        shown_of(keys, &["fivefive5", "a longer text that is long", "abc", "last"])
    }

    fn shown_of(keys: &str, texts: &[&str]) -> (Vec<String>, usize) {
        let file = format!(
            "+++\nname = 'r'\nabout = ''\nover = 'authors'\nsystem = ''\nmax_tokens = 1\n{keys}\n[form]\nfields = []\n+++\n\
             {{% for event in events %}}{{{{ event.own }}}}{{% endfor %}}"
        );
        let mut library = RecipeLibrary::default();
        library.add_recipe(&file).unwrap();
        let recipe = Arc::clone(library.recipe("r").unwrap());
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
}
