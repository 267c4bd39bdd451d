//! The functions that expressions may call, and the planner that types a syntax tree with them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, Cast, Expr, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast;

/// DataFusion has them, but their results cannot be written or their arguments do not exist here.
const LEFT_OUT: [&str; 20] = [
    "arrow_cast",
    "arrow_field",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "cast_to_type",
    "file_row_index",
    "get_field",
    "input_file_name",
    "make_time",
    "named_struct",
    "regexp_match",
    "row",
    "struct",
    "to_time",
    "try_cast_to_type",
    "union_extract",
    "union_tag",
    "version",
    "with_metadata",
];

const AGGREGATES: [&str; 17] = [
    "approx_distinct",
    "array_agg",
    "avg",
    "count",
    "first_value",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];

const WINDOW_FUNCTIONS: [&str; 8] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
];

/// What a function name stands for.
pub(super) enum Known {
    /// May be called.
    Scalar,
    /// Must not be called, with the reason.
    Refused(String),
    /// There is no such function.
    Unknown,
}

/// Looks a function up by its name, in any case.
pub(super) fn known(name: &str) -> Known {
    let name = name.to_lowercase();
    if let Some(function) = FUNCTIONS.get(name.as_str()) {
        return match function.signature().volatility {
            Volatility::Immutable => Known::Scalar,
            Volatility::Stable | Volatility::Volatile => Known::Refused(format!(
                "function `{name}` is not deterministic: a replay after a crash would compute something else"
            )),
        };
    }
    if name == "regexp_match" {
        return Known::Refused("`regexp_match` returns a list: use `regexp_like` or `regexp_replace`".to_owned());
    }
    if AGGREGATES.contains(&name.as_str()) {
        return Known::Refused(format!(
            "`{name}` aggregates over records: use an operator `groupBy` or `window` for it"
        ));
    }
    if WINDOW_FUNCTIONS.contains(&name.as_str()) {
        return Known::Refused(format!(
            "`{name}` looks at other records: an expression sees one record only"
        ));
    }
    Known::Unknown
}

/// Names to suggest: those that may be called.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS
        .iter()
        .filter(|(_, function)| function.signature().volatility == Volatility::Immutable)
        .map(|(name, _)| name.as_str())
}

static FUNCTIONS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let mut functions = BTreeMap::new();
    // Named one by one: which packages DataFusion has by default depends on the features that other crates ask for.
    let packages = [
        datafusion_functions::core::functions(),
        datafusion_functions::datetime::functions(),
        datafusion_functions::math::functions(),
        datafusion_functions::regex::functions(),
        datafusion_functions::string::functions(),
        datafusion_functions::unicode::functions(),
    ];
    for function in packages.into_iter().flatten() {
        let names = std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str));
        for name in names.filter(|name| !LEFT_OUT.contains(name)) {
            functions.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    functions
});

/// Types the syntax tree.
pub(super) fn plan(tree: ast::Expr, schema: &DFSchema) -> Result<Expr, String> {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::default);
    let options = ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(false);
    let planner = SqlToRel::new_with_options(&*CATALOG, options);
    let planned = planner.sql_to_expr(tree, schema, &mut PlannerContext::new());
    planned.and_then(in_our_ways).map_err(|error| super::words(&error))
}

/// Takes away aliases, which only name columns, and makes all instants milliseconds, which is what fields are: SQL's
/// `TIMESTAMP` would be nanoseconds, which end in the year 2262 and give other numbers when cast.
fn in_our_ways(expr: Expr) -> datafusion_common::Result<Expr> {
    let ours = expr.transform_up(|node| {
        Ok(match node {
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            Expr::Cast(cast) => match cast.field.data_type() {
                DataType::Timestamp(_, zone) => {
                    let millis = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
                    Transformed::yes(Expr::Cast(Cast::new(cast.expr, millis)))
                }
                _ => Transformed::no(Expr::Cast(cast)),
            },
            other => Transformed::no(other),
        })
    })?;
    Ok(ours.data)
}

/// Functions and nothing else: no tables, no variables.
struct Catalog {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Default for Catalog {
    fn default() -> Self {
        let planners: Vec<Arc<dyn ExprPlanner>> = vec![
            Arc::new(CoreFunctionPlanner::default()),
            Arc::new(DatetimeFunctionPlanner),
            Arc::new(UnicodeFunctionPlanner),
        ];
        Self {
            options: ConfigOptions::default(),
            planners,
        }
    }
}

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> datafusion_common::Result<Arc<dyn TableSource>> {
        plan_err!("there are no tables here, such as {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        FUNCTIONS.get(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
