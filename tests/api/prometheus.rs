//! A reader of the text format of Prometheus (version 0.0.4) that takes nothing but what the format
//! and its conventions allow.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample, by their names.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

impl Exposition {
    /// Reads a text; it fails the test if anything is wrong with it.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut families = BTreeMap::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            assert!(help.ends_with('.') && help.len() > 10, "{name} is not explained: {help}");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            let kind = kind.strip_prefix(name).unwrap().strip_prefix(' ').unwrap().to_owned();
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(Sample::read(line));
            }
            let family = Family { kind, samples };
            family.check(name);
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
        }
        Self { families }
    }

    /// The value of the one sample with these labels; 0 if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let Some(sample) = self.samples(name).into_iter().find(|sample| sample.has(labels)) else {
            return 0.0;
        };
        assert_eq!(sample.labels.len(), labels.len(), "more labels than {labels:?}");
        sample.value
    }

    /// The values of a label.
    pub fn labels(&self, name: &str, label: &str) -> BTreeSet<String> {
        self.samples(name).iter().map(|sample| sample.labels[label].clone()).collect()
    }

    /// The names of all families.
    pub fn names(&self) -> Vec<&str> {
        self.families.keys().map(String::as_str).collect()
    }

    fn samples(&self, name: &str) -> Vec<&Sample> {
        self.families.values().flat_map(|f| &f.samples).filter(|s| s.name == name).collect()
    }
}

impl Family {
    fn check(&self, name: &str) {
        assert!(is_name(name) && name.starts_with("codex_proxy_"), "{name}");
        assert!(!self.samples.is_empty(), "{name} has no samples");
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} comes twice");
        }
        match self.kind.as_str() {
            "counter" => {
                assert!(name.ends_with("_total"), "{name} is a counter");
                let is_count = |s: &Sample| s.name == name && s.value >= 0.0 && s.value.is_finite();
                assert!(self.samples.iter().all(is_count), "{name}");
            }
            "gauge" => {
                assert!(!name.ends_with("_total"), "{name} is no counter");
                assert!(self.samples.iter().all(|s| s.name == name && s.value.is_finite()));
            }
            "histogram" => self.check_histograms(name),
            other => panic!("{name} is a {other}"),
        }
    }

    /// Buckets add up, and end with all.
    fn check_histograms(&self, name: &str) {
        assert!(name.ends_with("_seconds"), "{name} has a base unit");
        let mut histograms = BTreeMap::<Labels, Vec<&Sample>>::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            histograms.entry(labels).or_default().push(sample);
        }
        for (labels, samples) in histograms {
            let single = |suffix: &str| {
                let name = format!("{name}_{suffix}");
                let found: Vec<_> = samples.iter().filter(|s| s.name == name).collect();
                assert_eq!(found.len(), 1, "{name} {labels:?}");
                found[0].value
            };
            let buckets: Vec<(f64, f64)> = samples
                .iter()
                .filter(|s| s.name == format!("{name}_bucket"))
                .map(|s| (number(&s.labels["le"]), s.value))
                .collect();
            assert_eq!(buckets.len() + 2, samples.len(), "{name} {labels:?}");
            assert!(buckets.windows(2).all(|b| b[0].0 < b[1].0 && b[0].1 <= b[1].1), "{buckets:?}");
            let (bound, all) = *buckets.last().unwrap();
            assert!(bound.is_infinite(), "{buckets:?}");
            let (count, sum) = (single("count"), single("sum"));
            assert!((all - count).abs() < f64::EPSILON, "{buckets:?} {count}");
            assert!(sum >= 0.0 && sum.is_finite());
            // What stands in a bucket is more than the bound of the one before it.
            let mut least = 0.0;
            let (mut below, mut before) = (0.0, 0.0);
            for (bound, cumulated) in &buckets {
                least += (cumulated - before) * below;
                (below, before) = (*bound, *cumulated);
            }
            assert!(sum >= least, "{name} {labels:?}: {sum} is less than {least}");
        }
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (head, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match head.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (head, ""),
        };
        assert!(is_name(name), "{line}");
        Self { name: name.to_owned(), labels: read_labels(labels), value: number(value) }
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|v| v == value))
    }
}

fn read_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name) && !name.contains(':') && !name.starts_with("__"), "{name}");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    other => panic!("\\{other}"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} comes twice");
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
    labels
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        other => other.parse().unwrap(),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
