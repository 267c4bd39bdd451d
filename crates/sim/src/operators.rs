//! Random operators as YAML. What the validator refuses at its place is thrown away by `manifest.rs`, so an entry may be
//! wrong now and then; a test sees to it that each comes through often enough.

use millrace_plan::{Field, FieldType};
use serde_json::{Value, json};

use crate::expressions::{Kind, expression};
use crate::known::known;
use crate::random::Random;

/// Where an operator is to stand.
pub(crate) struct Place<'a> {
    /// Fields that come in.
    pub(crate) fields: &'a [Field],
    /// Fields that the record key is made of there; empty if it means nothing.
    pub(crate) key: &'a [String],
}

/// A sort of operator: how it is called in statistics, how often it is tried, and what makes it.
type Sort = (&'static str, usize, fn(&mut Random, &Place<'_>) -> Value);

const SORTS: &[Sort] = &[
    ("filter", 2, filter),
    ("map", 2, map),
    ("explode", 2, explode),
    ("outputs", 1, outputs),
    ("groupBy", 3, group_by),
    ("tumbling", 4, tumbling),
    ("sliding", 3, sliding),
    ("session", 3, session),
    ("deduplicate", 2, deduplicate),
    ("previous", 2, previous),
    ("join", 2, join),
    ("stream", 3, stream),
];

/// All sorts that the validator knows.
pub(crate) fn sorts() -> impl Iterator<Item = &'static Sort> {
    SORTS.iter().filter(|(sort, ..)| known(sort))
}

fn filter(random: &mut Random, place: &Place<'_>) -> Value {
    json!({"filter": {"where": expression(random, place.fields, Kind::Boolean, 2)}})
}

fn map(random: &mut Random, place: &Place<'_>) -> Value {
    let mut map = json!({"set": sets(random, place, 1, 3)});
    let names: Vec<&str> = place.fields.iter().map(|field| field.name.as_str()).collect();
    let is_key = |name: &&str| place.key.iter().any(|key| key == name);
    match random.below(4) {
        0 => map["drop"] = json!(random.some(&arrays(place), 100)),
        1 => {
            let mut keep: Vec<&str> = names.iter().copied().filter(is_key).collect();
            let others: Vec<&str> = names.iter().copied().filter(|name| !is_key(name)).collect();
            keep.extend(random.some(&others, 60));
            map["keep"] = json!(keep);
        }
        2 => map["rename"] = json!([{"from": random.pick(&names), "to": format!("r{}", random.below(100))}]),
        _ => {}
    }
    json!({"map": map})
}

fn arrays<'a>(place: &Place<'a>) -> Vec<&'a str> {
    let is_array = |field: &&Field| matches!(field.field_type, FieldType::Array(_));
    place
        .fields
        .iter()
        .filter(is_array)
        .map(|field| field.name.as_str())
        .collect()
}

fn sets(random: &mut Random, place: &Place<'_>, least: i64, most: i64) -> Vec<Value> {
    let count = random.between(least, most);
    (0..count)
        .map(|at| {
            let kind = Kind::ALL[random.below(Kind::ALL.len())];
            json!({"field": format!("c{at}"), "expression": expression(random, place.fields, kind, 2)})
        })
        .collect()
}

fn explode(random: &mut Random, place: &Place<'_>) -> Value {
    let arrays = arrays(place);
    let mut explode = json!({"field": if arrays.is_empty() { "none" } else { random.pick(&arrays) }, "as": "item"});
    if random.chance(50) {
        explode["position"] = json!("at");
    }
    json!({"flatMap": {"explode": explode}})
}

fn outputs(random: &mut Random, place: &Place<'_>) -> Value {
    let kinds: Vec<Kind> = (0..2).map(|_| Kind::ALL[random.below(Kind::ALL.len())]).collect();
    let count = random.between(1, 3);
    let outputs: Vec<Value> = (0..count)
        .map(|_| {
            let mut set: Vec<Value> = place
                .key
                .iter()
                .map(|key| json!({"field": key, "expression": key}))
                .collect();
            set.extend(kinds.iter().enumerate().map(|(at, kind)| {
                json!({"field": format!("o{at}"), "expression": expression(random, place.fields, *kind, 1)})
            }));
            let mut output = json!({"set": set});
            if random.chance(60) {
                output["where"] = json!(expression(random, place.fields, Kind::Boolean, 1));
            }
            output
        })
        .collect();
    json!({"flatMap": {"outputs": outputs}})
}

fn group_by(random: &mut Random, place: &Place<'_>) -> Value {
    let mut group = json!({"keys": keys(random, place), "aggregates": aggregates(random, place)});
    maybe_ttl(random, &mut group);
    json!({"groupBy": group})
}

fn maybe_ttl(random: &mut Random, operator: &mut Value) {
    if known("ttl") && random.chance(40) {
        let (after, time) = (random.pick(TIMES), random.pick(&["event", "processing"]));
        operator["ttl"] = json!({"after": after, "time": time});
    }
}

fn deduplicate(random: &mut Random, place: &Place<'_>) -> Value {
    let [keep, time] = [["first", "last"], ["event", "processing"]].map(|either| random.pick(&either));
    json!({"deduplicate": {"keys": keys(random, place), "keep": keep, "within": random.pick(TIMES), "time": time}})
}

fn previous(random: &mut Random, place: &Place<'_>) -> Value {
    let scalars: Vec<&Field> = place.fields.iter().filter(|field| Kind::of(field).is_some()).collect();
    let fields: Vec<Value> = (0..random.between(1, 2))
        .map(|at| json!({"field": random.pick(&scalars).name, "as": format!("p{at}")}))
        .collect();
    let mut previous = json!({"keys": keys(random, place), "fields": fields});
    maybe_ttl(random, &mut previous);
    json!({"previous": previous})
}

/// What stands in the table of a join: `tk`, `tv` and, where rows follow each other in time, `since`.
pub(crate) fn table(follow: bool) -> Vec<u8> {
    let rows = match follow {
        false => "tk,tv\nk0,1\nk1,\nk2,3\na,4\n",
        true => "tk,tv,since\nk0,1,1000000\nk0,2,1000300\nk1,,1000100\na,4,0\n",
    };
    rows.as_bytes().to_vec()
}

fn join(random: &mut Random, place: &Place<'_>) -> Value {
    let texts: Vec<&Field> = place
        .fields
        .iter()
        .filter(|field| Kind::of(field) == Some(Kind::Text))
        .collect();
    let on = texts
        .get(random.below(texts.len().max(1)))
        .map_or("none", |field| field.name.as_str());
    let mut fields = json!([{"name": "tk", "type": "string"}, {"name": "tv", "type": "int64", "nullable": true}]);
    let follow = random.chance(50);
    let mut table = json!({"name": "t", "file": {"path": "/t.csv"}, "key": ["tk"]});
    if follow {
        fields
            .as_array_mut()
            .expect("it is a list")
            .push(json!({"name": "since", "type": "timestamp"}));
        (table["asOf"], table["validFrom"]) = (json!("eventTime"), json!("since"));
    }
    table["schema"] = json!({"fields": fields});
    let added = json!([{"field": "tv", "as": format!("t{}", random.below(100))}]);
    json!({"join": {
        "table": table,
        "match": [{"field": on, "equals": "tk"}],
        "type": random.pick(&["inner", "left"]),
        "fields": added,
    }})
}

/// A join with another stream, whose records [`input::of_stream`](crate::input::of_stream) makes.
fn stream(random: &mut Random, place: &Place<'_>) -> Value {
    let of = |kind| move |field: &&Field| Kind::of(field) == Some(kind);
    let [texts, wholes] = [Kind::Text, Kind::Whole].map(|kind| {
        let fields = place.fields.iter().filter(of(kind));
        fields.map(|field| field.name.as_str()).collect::<Vec<_>>()
    });
    let mut on = Vec::new();
    for (fields, theirs) in [(texts, "sk"), (wholes, "sn")] {
        if !fields.is_empty() && random.chance(70) {
            on.push(json!({"field": random.pick(&fields), "equals": theirs}));
        }
    }
    let number = random.below(1000);
    let fields = json!([
        {"name": "sk", "type": "string", "path": "k", "nullable": true},
        {"name": "sn", "type": "int64", "path": "n", "nullable": true},
        {"name": "sa", "type": "int64", "path": "a", "nullable": true},
        {"name": "sts", "type": "int64", "path": "ts"},
    ]);
    let mut join = json!({
        "stream": {
            "name": format!("s{number}"),
            "source": {"kafka": {"topics": [format!("other-{number}")]}},
            "schema": {"fields": fields},
            "eventTime": {"field": "sts", "maxOutOfOrderness": random.pick(&["0s", "5ms", "50ms"])},
        },
        "match": on,
        "type": random.pick(&["inner", "left", "right", "outer"]),
        "fields": [{"field": "sa", "as": format!("x{number}")}],
    });
    match random.below(4) {
        0 => join["within"] = json!({"before": random.pick(TIMES), "after": random.pick(TIMES)}),
        1 => join["window"] = json!({"tumbling": {"size": random.pick(TIMES)}}),
        2 => join["window"] = json!({"sliding": {"size": "30ms", "slide": "10ms", "offset": "3ms"}}),
        _ => join["ttl"] = json!(random.pick(&["1ms", "30ms", "1s", "none"])),
    }
    json!({"join": join})
}

fn tumbling(random: &mut Random, place: &Place<'_>) -> Value {
    let mut tumbling = json!({"size": random.pick(&["1ms", "10ms", "25ms", "100ms", "1s"])});
    if random.chance(30) && tumbling["size"] != "1ms" {
        tumbling["offset"] = json!(random.pick(&["1ms", "9ms"]));
    }
    window(random, place, "tumbling", tumbling)
}

fn sliding(random: &mut Random, place: &Place<'_>) -> Value {
    let sizes = [
        ("10ms", "5ms"),
        ("100ms", "30ms"),
        ("25ms", "25ms"),
        ("300ms", "7ms"),
        ("1s", "200ms"),
    ];
    let (size, slide) = sizes[random.below(sizes.len())];
    let mut sliding = json!({"size": size, "slide": slide});
    if random.chance(30) {
        sliding["offset"] = json!("3ms");
    }
    window(random, place, "sliding", sliding)
}

fn session(random: &mut Random, place: &Place<'_>) -> Value {
    let mut session = json!({"gap": random.pick(TIMES)});
    if random.chance(20) {
        session["maxLength"] = json!("1500ms");
    }
    window(random, place, "session", session)
}

/// A window of any kind.
fn window(random: &mut Random, place: &Place<'_>, kind: &str, spec: Value) -> Value {
    let mut window = json!({kind: spec, "keys": keys(random, place), "aggregates": aggregates(random, place)});
    if random.chance(40) {
        window["allowedLateness"] = json!(random.pick(TIMES));
    }
    if known("emit") && random.chance(40) {
        window["emit"] = [json!({"onUpdate": {}}), json!({"early": {"every": "4ms"}})][random.below(2)].clone();
    }
    if known("processing") && random.chance(15) {
        window["time"] = json!("processing");
    }
    json!({"window": window})
}

const TIMES: &[&str] = &["1ms", "10ms", "30ms", "200ms", "1s"];

/// The record key and maybe more; sometimes another, so that the plan is cut there.
fn keys(random: &mut Random, place: &Place<'_>) -> Vec<String> {
    let mut keys = if random.chance(8) {
        Vec::new()
    } else {
        place.key.to_vec()
    };
    let scalar = |field: &&Field| Kind::of(field).is_some() && !place.key.contains(&field.name);
    let others: Vec<String> = place
        .fields
        .iter()
        .filter(scalar)
        .map(|field| field.name.clone())
        .collect();
    if !others.is_empty() && (keys.is_empty() || random.chance(25)) {
        keys.push(others[random.below(others.len())].clone());
    }
    keys
}

/// Every function with the kinds of values that it takes; none: it counts records.
const AGGREGATES: &[(&str, &[Kind])] = &[
    ("count", &[]),
    ("count", &Kind::ALL),
    ("sum", &NUMBERS),
    ("min", &Kind::ALL),
    ("max", &Kind::ALL),
    ("avg", &NUMBERS),
    ("stddev", &NUMBERS),
    ("stddevSamp", &NUMBERS),
    ("stddevPop", &NUMBERS),
    ("variance", &NUMBERS),
    ("variancePop", &NUMBERS),
    ("first", &Kind::ALL),
    ("last", &Kind::ALL),
    ("countDistinct", &Kind::ALL),
    ("approxCountDistinct", &Kind::ALL),
    ("approxPercentile", &[Kind::Whole, Kind::Double]),
    ("collectList", &Kind::ALL),
    ("topN", &[Kind::Whole, Kind::Double]),
];

const NUMBERS: [Kind; 3] = [Kind::Whole, Kind::Double, Kind::Decimal];

/// Functions that came together are known together.
fn known_function(function: &str) -> bool {
    known(match function {
        "stddevPop" | "variance" | "variancePop" => "stddevSamp",
        "last" => "first",
        "approxCountDistinct" => "countDistinct",
        "collectList" => "topN",
        other => other,
    })
}

fn aggregates(random: &mut Random, place: &Place<'_>) -> Vec<Value> {
    let functions: Vec<_> = AGGREGATES
        .iter()
        .filter(|(function, _)| known_function(function))
        .collect();
    let count = random.between(1, 4);
    (0..count)
        .map(|at| {
            let (function, kinds) = random.pick(&functions);
            let mut aggregate = json!({"name": format!("g{at}"), "function": function});
            if !kinds.is_empty() {
                let kind = kinds[random.below(kinds.len())];
                aggregate["expression"] = json!(expression(random, place.fields, kind, 1));
            }
            match *function {
                "approxPercentile" => aggregate["percentile"] = json!(0.9),
                "topN" | "collectList" => aggregate["limit"] = json!(random.between(1, 5)),
                "sum" | "avg" | "stddev" if known("distinct") && random.chance(30) => {
                    aggregate["distinct"] = json!(true);
                }
                _ => {}
            }
            if known("where") && random.chance(25) {
                aggregate["where"] = json!(expression(random, place.fields, Kind::Boolean, 1));
            }
            aggregate
        })
        .collect()
}
