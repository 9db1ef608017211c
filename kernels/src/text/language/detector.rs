//! How a language is told, or left undetermined.

use std::sync::Arc;

use super::evidence::{Evidence, Ranking};
use super::excerpt::excerpt;
use super::languages::{EVERY, KNOWN, LANGUAGES, LanguageSet, contains, place};
use super::opinion::ThirdOpinion;
use super::script::Script;
use super::{Detected, UNDETERMINED};
use crate::KernelError;

/// Words that a text of few letters needs before its language is told, where the script has several languages.
const MIN_WORDS: u32 = 3;

/// Letters that it needs.
const MIN_LETTERS: u32 = 6;

/// Letters that a text needs before its language is told without confidence.
const FEW_LETTERS: u32 = 16;

/// Confidence that a text with fewer needs.
const FEW_LETTERS_CONFIDENCE: f64 = 0.8;

/// Distance of the first language from the second at which words settle a text if two of them are known. Of 22,991
/// short texts in 57 languages they settled seven in ten, and 1 of 500 wrong.
const SETTLED_BY_WORDS: f32 = 6.0;

/// Distance at which words and trigrams together settle a text: nineteen in twenty, 1 of 200 wrong.
const SETTLED: f32 = 3.0;

/// Distance within which languages are candidates where nothing settles a text. Half as many again were no more
/// accurate.
const CANDIDATE: f32 = 5.0;

/// What the logarithm of a third opinion counts beside our own.
const THIRD_SHARE: f32 = 2.0;

/// Tells languages, out of a set.
///
/// The set is of languages that may occur, not of those that are wanted: with a single language of a script in it,
/// every text of that script would be in that language.
#[derive(Debug, Clone)]
pub struct LanguageDetector {
    among: LanguageSet,
    third: Option<Arc<dyn ThirdOpinion>>,
}

impl Default for LanguageDetector {
    fn default() -> Self {
        Self::common()
    }
}

impl LanguageDetector {
    /// A detector that chooses from all [`LANGUAGES`] by its own evidence.
    pub const fn common() -> Self {
        Self { among: EVERY, third: None }
    }

    /// A detector that chooses from the languages with these ISO 639-3 codes.
    ///
    /// # Errors
    /// A code that is not in [`LANGUAGES`], or no code at all.
    pub fn among<'a>(codes: impl IntoIterator<Item = &'a str>) -> Result<Self, KernelError> {
        let mut among = 0;
        for code in codes {
            let place = place(code).ok_or_else(|| {
                KernelError::Argument(format!(
                    "`{code}` is no language; languages are: {}",
                    LANGUAGES.join(", ")
                ))
            })?;
            among |= 1 << place;
        }
        if among == 0 {
            return Err(KernelError::Argument(
                "a language detector needs languages to choose from".to_owned(),
            ));
        }
        Ok(Self { among, third: None })
    }

    /// The same detector, with someone to ask about texts that its own evidence does not settle. Without, such a text
    /// gets the likeliest language.
    #[must_use]
    pub fn with_third_opinion(self, third: Arc<dyn ThirdOpinion>) -> Self {
        Self { third: Some(third), ..self }
    }

    /// The language of a text by its first 400 characters; links and mentions are not looked at. A text in a script of
    /// which no language is listed is [`UNCODED`](super::UNCODED), whatever the detector chooses from.
    pub fn detect(&self, text: &str) -> Detected {
        self.detect_with_prior(text, None)
    }

    /// The language of a text by an author who mostly writes in another one, `prior` (ISO 639-3).
    ///
    /// The prior decides about texts that are too short to tell, if they have letters of its script, and about texts
    /// for which it is as good as likely as the likeliest; there it is not sure either, so never `reliable`. A
    /// prior that is not among the detector's languages is none.
    pub fn detect_with_prior(&self, text: &str, prior: Option<&str>) -> Detected {
        let prior = prior.and_then(place).filter(|&prior| contains(self.among, prior));
        let text = excerpt(text);
        let mut evidence = Evidence::of(&text);
        let in_script = |language: u8| KNOWN[usize::from(language)].script == evidence.script;
        let by_prior = prior.filter(|&prior| in_script(prior)).map(|prior| detected(prior, 0.0));
        if !has_enough(&evidence) {
            return by_prior.filter(|_| evidence.letters > 0).unwrap_or(Detected::UNDETERMINED);
        }
        if evidence.script == Script::Other {
            return Detected::UNCODED;
        }
        let mut ranking = evidence.ranking(self.among);
        let is_known = |&(first, _): &(u8, f32)| ranking.len() == 1 || evidence.known(first) > 1;
        if !(settles(&ranking, SETTLED_BY_WORDS) && ranking.first().is_some_and(is_known)) {
            evidence.add_trigrams();
            ranking = evidence.ranking(self.among);
        }
        if !settles(&ranking, SETTLED) {
            let is_close = |prior: u8| ranking.iter().any(|&(of, score)| of == prior && score > -SETTLED);
            if let Some(prior) = prior.filter(|&prior| is_close(prior)) {
                return detected(prior, 0.0);
            }
            self.ask(&text, &mut ranking);
        }
        let Some(&(first, _)) = ranking.first() else { return Detected::UNDETERMINED };
        let confidence = confidence(&ranking);
        if evidence.letters < FEW_LETTERS && confidence < FEW_LETTERS_CONFIDENCE {
            return by_prior.unwrap_or(Detected::UNDETERMINED);
        }
        detected(first, confidence)
    }

    /// Takes the third opinion into a ranking.
    fn ask(&self, text: &str, ranking: &mut Ranking) {
        let Some(third) = &self.third else { return };
        let mut candidates: Ranking =
            ranking.iter().copied().filter(|&(_, score)| score > -CANDIDATE).collect();
        candidates.sort_by_key(|&(language, _)| language);
        let codes: Vec<&str> = candidates.iter().map(|&(of, _)| KNOWN[usize::from(of)].code).collect();
        let Some(likelihoods) = third.likelihoods(text, &codes) else { return };
        #[expect(clippy::cast_possible_truncation, reason = "scores need no more digits")]
        for ((_, score), likelihood) in candidates.iter_mut().zip(likelihoods) {
            *score += THIRD_SHARE * (likelihood + 1e-4).ln() as f32;
        }
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        let first = candidates.first().map_or(0.0, |first| first.1);
        *ranking = candidates.into_iter().map(|(language, score)| (language, score - first)).collect();
    }
}

/// Whether there is enough text to tell a language.
fn has_enough(evidence: &Evidence) -> bool {
    match evidence.script {
        Script::Latin | Script::Cyrillic | Script::Arabic | Script::Devanagari => {
            evidence.letters >= MIN_LETTERS
                && (evidence.words >= MIN_WORDS || evidence.letters >= FEW_LETTERS)
        }
        // A script that is written without spaces, or by one language only.
        _ => evidence.letters >= MIN_LETTERS,
    }
}

/// Whether the second language is far behind the first.
fn settles(ranking: &Ranking, distance: f32) -> bool {
    ranking.get(1).is_none_or(|second| second.1 <= -distance)
}

/// The probability of the first language, if scores are logarithms of likelihoods.
fn confidence(ranking: &Ranking) -> f64 {
    1.0 / ranking.iter().map(|&(_, score)| f64::from(score).exp()).sum::<f64>().max(1.0)
}

fn detected(language: u8, confidence: f64) -> Detected {
    let code = KNOWN.get(usize::from(language)).map_or(UNDETERMINED, |language| language.code);
    Detected { code, confidence, reliable: confidence > 0.9 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::UNCODED;
    use super::*;

    const TEXTS: [(&str, &str); 24] = [
        ("eng", "My neighbour lent me her bicycle, so I rode to the lake and back before breakfast."),
        ("eng", "nah im not going, its way too cold tbh"),
        (
            "deu",
            "Meine Nachbarin hat mir ihr Fahrrad geliehen, und ich bin vor dem Frühstück zum See gefahren.",
        ),
        ("nld", "Mijn buurvrouw heeft me haar fiets geleend en toen ben ik naar het meer gereden."),
        ("fra", "Ma voisine m'a prêté son vélo et je suis allé jusqu'au lac avant le petit déjeuner."),
        ("spa", "Mi vecina me prestó su bicicleta y fui hasta el lago antes de desayunar con los niños."),
        ("por", "A minha vizinha emprestou-me a bicicleta e fui até ao lago antes do pequeno-almoço."),
        ("ita", "La mia vicina mi ha prestato la bicicletta e sono andato al lago prima di colazione."),
        ("pol", "Sąsiadka pożyczyła mi rower i pojechałem nad jezioro jeszcze przed śniadaniem."),
        ("ces", "Sousedka mi půjčila kolo, a tak jsem ještě před snídaní dojel k jezeru."),
        ("slk", "Susedka mi požičala bicykel, a tak som ešte pred raňajkami zašiel k jazeru."),
        ("dan", "Min nabo lånte mig sin cykel, så jeg kørte ned til søen og tilbage før morgenmaden."),
        ("tur", "Komşum bana bisikletini ödünç verdi, ben de kahvaltıdan önce göle kadar gittim."),
        ("vie", "Hàng xóm cho tôi mượn xe đạp nên tôi đã đi ra hồ trước bữa sáng."),
        ("rus", "Соседка одолжила мне свой велосипед, и я съездил на озеро ещё до завтрака."),
        ("ukr", "Сусідка позичила мені свій велосипед, і я з'їздив на озеро ще до сніданку."),
        ("ara", "أعارتني جارتي دراجتها فذهبت إلى البحيرة وعدت قبل الإفطار."),
        ("fas", "همسایه‌ام دوچرخه‌اش را به من داد و من پیش از صبحانه تا دریاچه رفتم."),
        ("hin", "पड़ोसी ने मुझे अपनी साइकिल दी और मैं नाश्ते से पहले झील तक गया।"),
        ("ell", "Η γειτόνισσα μου δάνεισε το ποδήλατό της."),
        ("jpn", "隣の人が自転車を貸してくれたので、朝ごはんの前に湖まで行ってきました。"),
        ("cmn", "邻居把自行车借给了我，我在早饭前骑到湖边又骑了回来。"),
        ("kor", "이웃이 자전거를 빌려줘서 아침 먹기 전에 호수까지 다녀왔어요."),
        ("tha", "เพื่อนบ้านให้ฉันยืมจักรยาน"),
    ];

    /// Always for one language.
    #[derive(Debug)]
    struct Partisan(&'static str);

    impl ThirdOpinion for Partisan {
        fn likelihoods(&self, _: &str, candidates: &[&'static str]) -> Option<Vec<f64>> {
            assert!(candidates.len() > 1);
            Some(candidates.iter().map(|&code| f64::from(u8::from(code == self.0))).collect())
        }
    }

    #[test]
    fn sentences_are_told() {
        for (code, text) in TEXTS {
            let detected = LanguageDetector::common().detect(text);
            assert_eq!((detected.code, detected.reliable), (code, true), "{text}");
        }
    }

    #[test]
    fn too_little_is_undetermined_unless_the_author_is_known() {
        for (text, prior, expected) in [
            ("", "eng", "und"),
            ("12345 678 90", "eng", "und"),
            ("😀😀😀 !!!", "eng", "und"),
            ("@ann @bob https://example.com/what-is-this", "eng", "und"),
            ("ok", "deu", "deu"),
            ("Hello there", "eng", "eng"),
            // The prior is of another script than the text, or no language.
            ("ok", "rus", "und"),
            ("ok", "english", "und"),
        ] {
            let detector = LanguageDetector::common();
            assert_eq!(detector.detect(text), Detected::UNDETERMINED, "{text}");
            let detected = detector.detect_with_prior(text, Some(prior));
            assert_eq!((detected.code, detected.reliable), (expected, false), "{text}");
        }
    }

    #[test]
    fn a_script_of_other_languages_is_told_from_letters_in_another_dress() {
        for (text, expected) in [
            ("ဒီနေ့ မိုးရွာလို့ အိမ်မှာပဲ နေတယ်။", "mis"),
            ("ថ្ងៃនេះខ្ញុំនៅផ្ទះព្រោះមានភ្លៀង។", "mis"),
            ("ມື້ນີ້ຂ້ອຍຢູ່ເຮືອນເພາະຝົນຕົກ", "mis"),
            ("අද වැස්ස නිසා මම ගෙදර හිටියා, ok?", "mis"),
            ("ଆଜି ବର୍ଷା ଯୋଗୁଁ ମୁଁ ଘରେ ରହିଲି।", "mis"),
            ("དེ་རིང་ཆར་པ་བབས་ནས་ང་ནང་ལ་བསྡད།", "mis"),
            ("හරි", "und"),
            ("𝐈 𝐚𝐦 𝐧𝐨𝐭 𝐬𝐡𝐨𝐮𝐭𝐢𝐧𝐠 𝐚𝐭 𝐚𝐧𝐲𝐛𝐨𝐝𝐲 𝐡𝐞𝐫𝐞", "und"),
            ("ⓘ ⓛⓘⓚⓔ ⓣⓗⓘⓢ ⓥⓔⓡⓨ ⓜⓤⓒⓗ", "und"),
            ("ᵗʰⁱˢ ⁱˢ ᵃ ᵛᵉʳʸ ᵗⁱⁿʸ ᵗᵉˣᵗ", "und"),
            ("ᴛʜɪs ɪs ᴀ ʀᴀᴛʜᴇʀ sᴍᴀʟʟ ᴛᴇxᴛ", "und"),
        ] {
            let detected = LanguageDetector::common().detect_with_prior(text, Some("eng"));
            assert_eq!((detected.code, detected.reliable), (expected, expected == "mis"), "{text}");
        }
    }

    #[test]
    fn links_do_not_decide() {
        let text =
            "Это очень хорошая статья https://example.com/the-very-best-article-of-this-year-about-the-lake";
        assert_eq!(LanguageDetector::common().detect(text).code, "rus");
    }

    #[test]
    fn a_detector_chooses_from_its_languages() {
        let (_, text) = TEXTS[4];
        for (codes, expected) in [(&["eng", "fra"][..], "fra"), (&["eng"], "eng"), (&["rus", "ell"], "und")] {
            let detector = LanguageDetector::among(codes.iter().copied()).unwrap();
            assert_eq!(detector.detect(text).code, expected, "{codes:?}");
        }
        let error = LanguageDetector::among(["english"]).unwrap_err().to_string();
        assert!(error.contains("`english` is no language") && error.contains("eng"), "{error}");
        assert!(LanguageDetector::among([]).is_err());
    }

    #[test]
    fn a_third_opinion_and_the_author_count_in_doubt_only() {
        // Words that Danish and Norwegian share.
        let doubtful = "Han var her hele dagen";
        for code in ["dan", "nob"] {
            let asking = LanguageDetector::common().with_third_opinion(Arc::new(Partisan(code)));
            assert_eq!(asking.detect(doubtful).code, code);
            assert_eq!(LanguageDetector::common().detect_with_prior(doubtful, Some(code)).code, code);
            for (clear, text) in TEXTS {
                assert_eq!(asking.detect_with_prior(text, Some(code)).code, clear, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer_from_the_list(
            text in r"(\PC{0,6}|[a-zé]{1,8}|[ア-ン]{1,3}|[а-я]{1,5}|@ann| |the|und|de|https://a\.b/c){0,20}",
            prior in prop::sample::select(&LANGUAGES[..]),
        ) {
            let detector = LanguageDetector::common();
            let detected = detector.detect(&text);
            let is_answer = [UNDETERMINED, UNCODED].contains(&detected.code) || LANGUAGES.contains(&detected.code);
            prop_assert!(is_answer, "{}", detected.code);
            prop_assert!((0.0..=1.0).contains(&detected.confidence));
            prop_assert_eq!(detected, detector.detect(&text));
            // The author's other posts change nothing that is sure.
            let with_prior = detector.detect_with_prior(&text, Some(prior));
            if detected.confidence > 0.99 {
                prop_assert_eq!(with_prior, detected);
            }
            prop_assert!(with_prior.code == detected.code || with_prior.code == prior);
        }
    }
}
