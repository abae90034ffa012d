#include "data/coco_classes.h"

namespace mtyolo::data {

const std::vector<std::string>& coco_class_names() {
  static const std::vector<std::string> names{"person",        "bicycle",      "car",
                                              "motorcycle",    "airplane",     "bus",
                                              "train",         "truck",        "boat",
                                              "traffic light", "fire hydrant", "stop sign",
                                              "parking meter", "bench",        "bird",
                                              "cat",           "dog",          "horse",
                                              "sheep",         "cow",          "elephant",
                                              "bear",          "zebra",        "giraffe",
                                              "backpack",      "umbrella",     "handbag",
                                              "tie",           "suitcase",     "frisbee",
                                              "skis",          "snowboard",    "sports ball",
                                              "kite",          "baseball bat", "baseball glove",
                                              "skateboard",    "surfboard",    "tennis racket",
                                              "bottle",        "wine glass",   "cup",
                                              "fork",          "knife",        "spoon",
                                              "bowl",          "banana",       "apple",
                                              "sandwich",      "orange",       "broccoli",
                                              "carrot",        "hot dog",      "pizza",
                                              "donut",         "cake",         "chair",
                                              "couch",         "potted plant", "bed",
                                              "dining table",  "toilet",       "tv",
                                              "laptop",        "mouse",        "remote",
                                              "keyboard",      "cell phone",   "microwave",
                                              "oven",          "toaster",      "sink",
                                              "refrigerator",  "book",         "clock",
                                              "vase",          "scissors",     "teddy bear",
                                              "hair drier",    "toothbrush"};
  return names;
}

const std::vector<int>& coco_category_ids() {
  static const std::vector<int> ids = [] {
    std::vector<int> all;
    for (const auto& [first, last] :
         {std::pair{1, 11}, {13, 25}, {27, 28}, {31, 44}, {46, 65}, {67, 67}, {70, 70}, {72, 82}, {84, 90}})
      for (int id = first; id <= last; ++id) all.push_back(id);
    return all;
  }();
  return ids;
}

}  // namespace mtyolo::data
