// SPDX-License-Identifier: Apache-2.0
// The peer of `scripts/bench drain`: calls by account and service in Kafka Streams, exactly_once_v2, in-memory store with its changelog,
// Jackson for the JSON. No month, no duplicates, no thresholds, no ledger.
//
//	java -cp JARS PlainCount.java BOOTSTRAP TOPIC APPLICATION STATE_DIR RECORDS SECONDS
//
// Counts until RECORDS were processed or SECONDS have passed since the first one, and prints
// {"messages":…,"seconds":…,"cpu_seconds":…,"checksum":…}: from the first record to the last; the checksum as in fill.c.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public final class PlainCount {
	private static final AtomicLong records = new AtomicLong(), checksum = new AtomicLong();
	private static final AtomicLong startNs = new AtomicLong(), endNs = new AtomicLong(), startCpu = new AtomicLong(), endCpu = new AtomicLong();
	private static final CountDownLatch done = new CountDownLatch(1);
	private static long wanted, mostNs;

	private static long cpuNs() {
		return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
	}

	private static void counted() {
		long n = records.incrementAndGet();
		if (n == 1) {
			startCpu.set(cpuNs());
			startNs.set(System.nanoTime());
		}
		if (n == wanted || (n % 256 == 0 && System.nanoTime() - startNs.get() > mostNs)) {
			endNs.compareAndSet(0, System.nanoTime());
			endCpu.compareAndSet(0, cpuNs());
			done.countDown();
		}
	}

	static final class Count implements Processor<byte[], byte[], Void, Void> {
		private final ObjectReader json = new ObjectMapper().readerFor(JsonNode.class);
		private KeyValueStore<String, Long> store;

		@Override
		public void init(ProcessorContext<Void, Void> context) {
			store = context.getStateStore("calls");
		}

		@Override
		public void process(Record<byte[], byte[]> r) {
			if (r.value() == null || r.value().length == 0)
				return; // a tick
			if (done.getCount() == 0)
				return;
			try {
				JsonNode e = json.readTree(r.value());
				String key = e.get("account").asText() + "/" + e.get("service").asText();
				long calls = e.get("calls").asLong();
				Long old = store.get(key);
				store.put(key, old == null ? calls : old + calls);
				CRC32 crc = new CRC32();
				crc.update(key.getBytes(StandardCharsets.UTF_8));
				checksum.addAndGet(crc.getValue() * calls);
			} catch (IOException e) {
				throw new IllegalStateException(e);
			}
			counted();
		}
	}

	private static Properties settings(String[] args) {
		Properties p = new Properties();
		p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
		p.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
		p.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
		p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
		p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
		p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Math.max(1, Runtime.getRuntime().availableProcessors()));
		p.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
		p.put(StreamsConfig.consumerPrefix("max.poll.records"), 2000);
		return p;
	}

	public static void main(String[] args) throws InterruptedException {
		wanted = Long.parseLong(args[4]);
		mostNs = TimeUnit.SECONDS.toNanos(Long.parseLong(args[5]));
		Topology t = new Topology();
		t.addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), args[1]);
		t.addProcessor("count", Count::new, "in");
		t.addStateStore(Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("calls"), Serdes.String(), Serdes.Long()), "count");
		KafkaStreams streams = new KafkaStreams(t, settings(args));
		streams.setUncaughtExceptionHandler(e -> {
			e.printStackTrace();
			done.countDown();
			return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
		});
		streams.start();
		boolean came = done.await(300, TimeUnit.SECONDS);
		long n = records.get();
		if (!came || endNs.get() == 0)
			System.err.println("PlainCount: " + n + " records of " + wanted);
		else
			System.out.printf("{\"messages\":%d,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"checksum\":%s}%n", n, (endNs.get() - startNs.get()) / 1e9,
					(endCpu.get() - startCpu.get()) / 1e9, Long.toUnsignedString(checksum.get()));
		System.out.flush();
		Runtime.getRuntime().halt(came && endNs.get() != 0 ? 0 : 1); // its topics are thrown away
	}
}
