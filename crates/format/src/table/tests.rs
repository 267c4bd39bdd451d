use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_plan::{FieldType, TableOrigin};
use proptest::prelude::*;

use super::*;

fn field(name: &str, path: &str, field_type: FieldType, nullable: bool) -> Field {
    Field {
        path: vec![path.to_owned()],
        ..Field::computed(name, field_type, nullable)
    }
}

fn table(format: TableFormat, fields: Vec<Field>) -> Table {
    Table {
        name: "airports".to_owned(),
        origin: TableOrigin::File("airports".to_owned()),
        format,
        fields: Fields::new(fields),
        key: vec![0],
        valid_from: None,
    }
}

fn airports(format: TableFormat) -> Table {
    let scale = FieldType::Decimal {
        precision: 10,
        scale: 2,
    };
    table(
        format,
        vec![
            field("faa", "faa", FieldType::String, false),
            field("name", "full name", FieldType::String, true),
            field("alt", "alt", FieldType::Int64, true),
            field("lat", "lat", FieldType::Float64, true),
            field("fee", "fee", scale, true),
            field("open", "open", FieldType::Boolean, true),
            field("since", "since", FieldType::Timestamp, true),
        ],
    )
}

/// Rows as texts, `-` for NULL.
fn shown(rows: &TableRows) -> Vec<String> {
    let cell = |column: &arrow::array::ArrayRef, row: usize| {
        use arrow::datatypes::DataType;
        if column.is_null(row) {
            return "-".to_owned();
        }
        match column.data_type() {
            DataType::Utf8 => format!("{:?}", column.as_string::<i32>().value(row)),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
            DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            _ => column.as_primitive::<TimestampMillisecondType>().value(row).to_string(),
        }
    };
    let row = |row: usize| {
        let cells: Vec<String> = rows.columns.columns().iter().map(|column| cell(column, row)).collect();
        format!("{} {}", rows.lines[row], cells.join(" "))
    };
    (0..rows.columns.num_rows()).map(row).collect()
}

fn faults(table: &Table, text: &str) -> Vec<String> {
    let faults = TableRows::read(table, text.as_bytes()).expect_err("the table is broken");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn csv_columns_are_found_by_the_header_and_cells_have_the_types_of_the_fields() {
    let text = "\u{feff}lat,unknown,full name,faa,alt,open,since,fee\r\n\
                41.5,x,\"O'Hare, \"\"ORD\"\"\",ORD,672,true,2013-01-01T00:00:00Z,1.5\r\n\
                \r\n\
                ,,,\"\",,,,\r\n\
                -1e3,\"two\nlines\",\"\",JFK,\"13\",\"false\",12,\"0.25\"";
    let rows = TableRows::read(&airports(TableFormat::Csv), text.as_bytes()).expect("the table is right");
    let expected = [
        r#"2 "ORD" "O'Hare, \"ORD\"" 672 41.5 150 true 1356998400000"#,
        r#"4 "" - - - - - -"#,
        r#"5 "JFK" "" 13 -1000 25 false 12"#,
    ];
    assert_eq!(shown(&rows), expected);
}

#[test]
fn json_lines_are_read_as_records_are() {
    let text = "{\"faa\":\"ORD\",\"alt\":672,\"more\":[]}\n\n{\"faa\":\"J\\u0046K\",\"full name\":null}\r\n";
    let rows = TableRows::read(&airports(TableFormat::JsonLines), text.as_bytes()).expect("the table is right");
    assert_eq!(shown(&rows), [r#"1 "ORD" - 672 - - - -"#, r#"3 "JFK" - - - - - -"#]);
}

#[test]
fn every_bad_row_is_named_with_its_line() {
    let csv = airports(TableFormat::Csv);
    let head = "faa,full name,alt,lat,fee,open,since\n";
    let rows =
        "A,x,1,1,1,true,1\n,x,1,1,1,true,1\nB,\"a\nb\",one,1,1,true,1\nC,x,1,1,1,yes,1\nD,x\nE,x,1,1,0.001,true,soon\n";
    let expected = [
        "line 3: field `faa` is null but not nullable",
        "line 4: field `alt`: expected int64, found string",
        "line 6: field `open`: expected boolean, found string",
        "line 7: has 2 cells, the header has 7",
        "line 8: field `fee`: more digits after the point than decimal(10, 2)",
    ];
    assert_eq!(faults(&csv, &format!("{head}{rows}")), expected);

    let json = airports(TableFormat::JsonLines);
    let found = faults(&json, "{\"faa\":\"A\"}\n{\"faa\":1}\n[]\n{}\n");
    assert_eq!(found[0], "line 2: field `faa`: expected string, found number");
    assert_eq!(found[2], "line 4: field `faa` is missing");
    assert_eq!(found.len(), 3);
}

#[test]
fn a_broken_header_or_syntax_is_named() {
    let csv = table(TableFormat::Csv, vec![field("a", "a", FieldType::String, true)]);
    for (text, fault) in [
        ("", "is empty: the first line has the names of the columns"),
        ("\n\n", "is empty: the first line has the names of the columns"),
        ("b,c\n", "line 1: the header has no column `a`"),
        ("a,b,a\n", "line 1: the header has two columns `a`"),
        ("a\nx\n\"y\nz\n", "line 3: a quote is not closed"),
        ("a\n\"y\"z\n", "line 2: something follows a closing quote"),
        (
            "a\ny\"z\n",
            "line 2: a quote stands inside a cell that does not begin with one",
        ),
    ] {
        assert_eq!(faults(&csv, text), [fault], "{text:?}");
    }
    let not_text = TableRows::read(&csv, b"a\nb\n\xff\n").expect_err("it is not UTF-8");
    assert_eq!(not_text[0].to_string(), "line 3: is not UTF-8");
}

#[test]
fn tables_have_limits() {
    let json = table(TableFormat::JsonLines, vec![field("a", "a", FieldType::Int64, true)]);
    let bytes = vec![b' '; Table::MAX_BYTES + 1];
    let large = TableRows::read(&json, &bytes).expect_err("it is too large");
    assert_eq!(large[0].to_string(), "has 67108865 bytes; a table may have 67108864");
    let many = "{}\n".repeat(Table::MAX_ROWS + 1);
    assert_eq!(faults(&json, &many), ["has more than 1000000 rows"]);
    let bad = "{\"a\":true}\n".repeat(100);
    assert_eq!(faults(&json, &bad).len(), MAX_FAULTS);
}

/// Quotes a cell if it must be, or if it is told to.
fn cell(text: &str, quote: bool) -> String {
    if quote || text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_a_writer_of_csv_writes_is_read(
        rows in proptest::collection::vec(("[a\",\n\r\\\\é ]{0,6}", proptest::option::of("[x\",\n]{0,4}"), any::<i64>(), any::<bool>()), 0..20),
        crlf: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("n,b,a{end}");
        for (a, b, n, quote) in &rows {
            let b = b.as_ref().map_or(String::new(), |b| cell(b, *quote));
            text += &format!("{n},{b},{}{end}", cell(a, *quote));
        }
        let fields = vec![
            field("a", "a", FieldType::String, false),
            field("b", "b", FieldType::String, true),
            field("n", "n", FieldType::Int64, false),
        ];
        let found = TableRows::read(&table(TableFormat::Csv, fields), text.as_bytes()).expect("it is right");
        let expected: Vec<String> = rows.iter().map(|(a, b, n, _)| {
            format!("{a:?} {} {n}", b.as_ref().map_or("-".to_owned(), |b| format!("{b:?}")))
        }).collect();
        let found: Vec<String> = shown(&found).iter().map(|row| row.split_once(' ').expect("a line").1.to_owned()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_rows_or_faults_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a,\"\n1{}:]{0,60}") {
        for format in [TableFormat::Csv, TableFormat::JsonLines] {
            let table = table(format, vec![field("a", "a", FieldType::Int64, true)]);
            let _ = TableRows::read(&table, &bytes);
            let _ = TableRows::read(&table, format!("a,b\n{text}").as_bytes());
        }
    }
}
