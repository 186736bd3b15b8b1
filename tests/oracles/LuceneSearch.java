// Lucene's BM25 over terms that the caller has made: run with `java -cp "/usr/share/java/*" LuceneSearch.java`.
//
//   D term term ...    adds a document; it is number 0, 1, ... in order
//   C                  the index is complete: one segment. Answers "indexed DOCUMENTS MILLISECONDS"
//   Q K term term ...  the K best of an OR of the terms. Answers the documents' numbers
//   T K ROUNDS         asks all queries so far again, so many times. Answers "timed QUERIES NANOSECONDS" for each round

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.analysis.core.WhitespaceAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.MMapDirectory;

public class LuceneSearch {
    public static void main(String[] arguments) throws Exception {
        Path folder = Files.createTempDirectory("lucene");
        try (MMapDirectory directory = new MMapDirectory(folder);
             BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            run(directory, in);
        } finally {
            try (var files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    private static void run(MMapDirectory directory, BufferedReader in) throws Exception {
        BooleanQuery.setMaxClauseCount(4096);
        IndexWriter writer = new IndexWriter(directory, new IndexWriterConfig(new WhitespaceAnalyzer()));
        IndexSearcher searcher = null;
        List<Query> queries = new ArrayList<>();
        long began = System.nanoTime();
        int documents = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            switch (line.charAt(0)) {
                case 'D': {
                    Document document = new Document();
                    document.add(new TextField("text", line.substring(Math.min(2, line.length())), Field.Store.NO));
                    writer.addDocument(document);
                    documents++;
                    break;
                }
                case 'C': {
                    writer.forceMerge(1);
                    writer.close();
                    System.out.println("indexed " + documents + " " + (System.nanoTime() - began) / 1_000_000);
                    searcher = new IndexSearcher(DirectoryReader.open(directory));
                    searcher.setSimilarity(new BM25Similarity(1.2f, 0.75f));
                    searcher.setQueryCache(null);
                    break;
                }
                case 'Q': {
                    String[] parts = line.split(" ");
                    BooleanQuery.Builder query = new BooleanQuery.Builder();
                    for (String term : Arrays.asList(parts).subList(2, parts.length)) {
                        query.add(new TermQuery(new Term("text", term)), BooleanClause.Occur.SHOULD);
                    }
                    queries.add(query.build());
                    StringBuilder answer = new StringBuilder();
                    for (ScoreDoc hit : searcher.search(queries.get(queries.size() - 1), Integer.parseInt(parts[1])).scoreDocs) {
                        answer.append(hit.doc).append(' ');
                    }
                    System.out.println(answer.toString().trim());
                    break;
                }
                case 'T': {
                    String[] parts = line.split(" ");
                    for (int round = Integer.parseInt(parts[2]); round > 0; round--) {
                        long start = System.nanoTime();
                        for (Query query : queries) {
                            searcher.search(query, Integer.parseInt(parts[1]));
                        }
                        System.out.println("timed " + queries.size() + " " + (System.nanoTime() - start));
                    }
                    break;
                }
                default:
                    throw new IllegalArgumentException(line);
            }
        }
    }
}
