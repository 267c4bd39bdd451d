package io.millrace.oracle;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.WindowAssigner;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/**
 * Flink in this process: a job a line on stdin, its results as a list a line on stdout. Jobs are those of
 * e2e/src/peers.rs; all of them run at once, each by itself. Times are milliseconds; the watermark follows every record.
 */
public final class Flink {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** What the jobs have given, by job: tasks run in this process, and each job's last one is alone with its queue. */
    private static final List<Queue<ObjectNode>> RESULTS = new ArrayList<>();
    private static final TypeInformation<Tuple3<String, Long, Long>> RECORD =
            Types.TUPLE(Types.STRING, Types.LONG, Types.LONG);

    private Flink() {
    }

    public static void main(String[] arguments) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, new Configuration());
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        tables.getConfig().setLocalTimeZone(ZoneOffset.UTC);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int number = RESULTS.size();
            RESULTS.add(new ConcurrentLinkedQueue<>());
            JsonNode job = JSON.readTree(line);
            switch (job.get("kind").asText()) {
                case "join", "window-join" -> join(tables, env, job, number);
                case "aggregates" -> aggregates(tables, env, job, number);
                default -> window(env, job, number);
            }
        }
        env.execute();
        for (Queue<ObjectNode> results : RESULTS) {
            ArrayNode list = JSON.createArrayNode();
            results.forEach(list::add);
            System.out.println(JSON.writeValueAsString(list));
        }
    }

    /** Watermark of the newest time less the delay less 1 ms, after every record. */
    private static final class EveryRecord implements WatermarkGenerator<Tuple3<String, Long, Long>> {
        private final long delay;
        private long newest = Long.MIN_VALUE;

        EveryRecord(long delay) {
            this.delay = delay;
        }

        @Override
        public void onEvent(Tuple3<String, Long, Long> record, long time, WatermarkOutput output) {
            newest = Math.max(newest, time);
            output.emitWatermark(new Watermark(newest - delay - 1));
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
        }
    }

    private static DataStream<Tuple3<String, Long, Long>> source(StreamExecutionEnvironment env, JsonNode job, String side) {
        List<Tuple3<String, Long, Long>> records = new ArrayList<>();
        for (JsonNode record : job.get("records")) {
            if (record.path("side").asText("left").equals(side)) {
                JsonNode value = record.path("value");
                // Tuples have no nulls: the smallest number stands for one.
                long number = value.isNull() ? Long.MIN_VALUE : value.asLong();
                records.add(Tuple3.of(record.get("key").asText(), record.get("time").asLong(), number));
            }
        }
        long delay = job.path("grace").asLong();
        return env.fromData(records, RECORD).setParallelism(1).assignTimestampsAndWatermarks(
                WatermarkStrategy.<Tuple3<String, Long, Long>>forGenerator(context -> new EveryRecord(delay))
                        .withTimestampAssigner((record, before) -> record.f1));
    }

    private static void window(StreamExecutionEnvironment env, JsonNode job, int number) {
        WindowAssigner<Object, TimeWindow> windows = switch (job.get("kind").asText()) {
            case "tumbling" -> TumblingEventTimeWindows.of(millis(job, "size"));
            case "sliding" -> SlidingEventTimeWindows.of(millis(job, "size"), millis(job, "slide"));
            case "session" -> EventTimeSessionWindows.withGap(millis(job, "gap"));
            default -> throw new IllegalArgumentException(job.get("kind").asText());
        };
        OutputTag<Tuple3<String, Long, Long>> late = new OutputTag<>("late", RECORD);
        SingleOutputStreamOperator<String> results = source(env, job, "left").keyBy(record -> record.f0)
                .window(windows)
                .allowedLateness(Duration.ofMillis(job.path("lateness").asLong()))
                .sideOutputLateData(late)
                .process(new Totals());
        results.map(text -> put(number, text)).sinkTo(new DiscardingSink<>());
        results.getSideOutput(late)
                .map(record -> put(number, String.format("{\"late\":true,\"key\":\"%s\",\"time\":%d}", record.f0, record.f1)))
                .sinkTo(new DiscardingSink<>());
    }

    /** All records of a window, added up one by one. */
    private static final class Totals
            extends ProcessWindowFunction<Tuple3<String, Long, Long>, String, String, TimeWindow> {
        @Override
        public void process(String key, Context context, Iterable<Tuple3<String, Long, Long>> records, Collector<String> out) {
            long count = 0;
            long sum = 0;
            Long min = null;
            Long max = null;
            for (Tuple3<String, Long, Long> record : records) {
                count++;
                if (record.f2 != Long.MIN_VALUE) {
                    sum += record.f2;
                    min = min == null ? record.f2 : Long.valueOf(Math.min(min, record.f2));
                    max = max == null ? record.f2 : Long.valueOf(Math.max(max, record.f2));
                }
            }
            ObjectNode result = JSON.createObjectNode().put("count", count).put("sum", sum).put("min", min).put("max", max);
            result.put("key", key).put("start", context.window().getStart()).put("end", context.window().getEnd());
            out.collect(result.toString());
        }
    }

    private static void view(StreamTableEnvironment tables, StreamExecutionEnvironment env, JsonNode job, String side, int number) {
        Schema schema = Schema.newBuilder()
                .column("f0", DataTypes.STRING()).column("f1", DataTypes.BIGINT()).column("f2", DataTypes.BIGINT())
                .columnByMetadata("ts", DataTypes.TIMESTAMP_LTZ(3), "rowtime")
                .watermark("ts", "SOURCE_WATERMARK()").build();
        tables.createTemporaryView(side + number, source(env, job, side), schema);
    }

    /**
     * By SQL, whose functions are Flink's own: the job's expressions over f0, v (the value or NULL), d (v as a double) and ts,
     * a key and tumbling window. Results are arrays of what the expressions give.
     */
    private static void aggregates(StreamTableEnvironment tables, StreamExecutionEnvironment env, JsonNode job, int number) {
        view(tables, env, job, "left", number);
        List<String> expressions = new ArrayList<>();
        job.get("expressions").forEach(expression -> expressions.add(expression.asText()));
        tables.createTemporaryView("values" + number, tables.sqlQuery(String.format(
                "SELECT *, CAST(v AS DOUBLE) AS d FROM (SELECT *, NULLIF(f2, -9223372036854775807 - 1) AS v FROM left%d)", number)));
        String sql = String.format("SELECT f0, window_start, %3$s FROM TUMBLE(TABLE values%1$d, DESCRIPTOR(ts), "
                        + "INTERVAL '%2$s' SECOND(3, 3)) GROUP BY f0, window_start, window_end",
                number, seconds(job, "size"), String.join(", ", expressions));
        tables.toDataStream(tables.sqlQuery(sql)).map(row -> put(number, values(row))).sinkTo(new DiscardingSink<>());
    }

    private static String values(Row row) {
        ObjectNode result = JSON.createObjectNode();
        LocalDateTime start = (LocalDateTime) row.getField(1);
        result.put("key", (String) row.getField(0)).put("start", start.toInstant(ZoneOffset.UTC).toEpochMilli());
        ArrayNode values = result.putArray("values");
        for (int at = 2; at < row.getArity(); at++) {
            values.addPOJO(row.getField(at));
        }
        return result.toString();
    }

    /** By SQL: it has outer joins too, whose rows without a match come once the watermark says that there is none. */
    private static void join(StreamTableEnvironment tables, StreamExecutionEnvironment env, JsonNode job, int number) {
        for (String side : new String[] {"left", "right"}) {
            view(tables, env, job, side, number);
        }
        String type = switch (job.get("type").asText()) {
            case "left" -> "LEFT JOIN";
            case "outer" -> "FULL OUTER JOIN";
            default -> "JOIN";
        };
        String sql;
        if ("join".equals(job.get("kind").asText())) {
            sql = String.format("SELECT coalesce(l.f0, r.f0), l.f2, r.f2 FROM left%1$d l %2$s right%1$d r ON l.f0 = r.f0 "
                            + "AND r.ts BETWEEN l.ts - INTERVAL '%3$s' SECOND(3, 3) AND l.ts + INTERVAL '%4$s' SECOND(3, 3)",
                    number, type, seconds(job, "before"), seconds(job, "after"));
        } else {
            String window = String.format("INTERVAL '%s' SECOND(3, 3)", seconds(job, "size"));
            sql = String.format("SELECT coalesce(l.f0, r.f0), l.f2, r.f2 FROM "
                            + "(SELECT * FROM TUMBLE(TABLE left%1$d, DESCRIPTOR(ts), %3$s)) l %2$s "
                            + "(SELECT * FROM TUMBLE(TABLE right%1$d, DESCRIPTOR(ts), %3$s)) r "
                            + "ON l.f0 = r.f0 AND l.window_start = r.window_start AND l.window_end = r.window_end",
                    number, type, window);
        }
        tables.toDataStream(tables.sqlQuery(sql)).map(row -> put(number, pair(row))).sinkTo(new DiscardingSink<>());
    }

    private static String pair(Row row) {
        ObjectNode pair = JSON.createObjectNode();
        pair.put("left", (Long) row.getField(1)).put("right", (Long) row.getField(2)).put("key", (String) row.getField(0));
        return pair.toString();
    }

    private static String put(int number, String text) throws IOException {
        RESULTS.get(number).add((ObjectNode) JSON.readTree(text));
        return text;
    }

    private static Duration millis(JsonNode job, String name) {
        return Duration.ofMillis(job.get(name).asLong());
    }

    private static String seconds(JsonNode job, String name) {
        long millis = job.get(name).asLong();
        return String.format("%d.%03d", millis / 1000, millis % 1000);
    }
}
