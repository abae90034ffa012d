// write_events FOLDER: an event file with known values, which check_events.py reads with TensorBoard's own
// reader.
#include <cstdio>

#include "train/plots/tensorboard.h"

using namespace mtyolo;
using namespace mtyolo::train;

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  EventFile events(argv[1]);
  ResultsTable table{{"epoch", "train/box_loss", "a/metrics/mAP_0.5"}, {}};
  for (int epoch = 0; epoch < 3; ++epoch) {
    table.rows.push_back({double(epoch), 1.0 / (epoch + 1), 0.25 * epoch});
    events.last_row(table);
    events.flush();
  }
  const PictureFile picture = encode_picture("red.png", data::Image(5, 3, 200));
  events.image("val_pred", picture.bytes, 5, 3, 2);
  events.class_histogram("classes", std::vector<int64_t>{5, 0, 7}, 0);
  events.histogram("weights", std::vector<double>{0, 0.25, 0.5, 1}, 1, 2);
  events.flush();
  return 0;
} catch (const Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
