// A model of one's own, trained with compression: written as a user of the installed package would write it.
//   smallnet DATA EPOCHS
#include <cstdlib>
#include <iostream>

#include <tern/tern.h>

using namespace tern;

struct SmallNet : nn::Module {
  nn::Child<nn::Conv2d> conv{this, "conv", {.in_channels = 3, .out_channels = 32, .kernel_size = 3, .padding = 1}};
  nn::Child<nn::BatchNorm2d> bn{this, "bn", {.num_features = 32}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 32, .out_features = 10}};
  Tensor forward(const Tensor& x) override { return head(global_avg_pool(relu(bn(conv(x))))); }
};

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int epochs = std::atoi(argv[2]);

  manual_seed(0);
  auto train = data::Cifar10(argv[1], data::Split::kTrain);
  data::DataLoader loader(train, {.batch_size = 128,
                                  .shuffle = true,
                                  .workers = 1,
                                  .transform = data::compose(data::random_crop(32, 4), data::horizontal_flip(),
                                                             data::normalize(train.mean(), train.std()))});

  SmallNet net;
  quant::codeq::attach(net, {.exclude = {"head"}, .bits = quant::codeq::Learnable{.max_bits = 8}});
  optim::Sgd opt({.momentum = 0.9},
                 {{.params = quant::codeq::base_parameters(net), .lr = 0.1, .weight_decay = 1e-4},
                  {.params = quant::codeq::dead_zone_logits(net), .lr = 1e-3, .weight_decay = 0.03},
                  {.params = quant::codeq::bit_width_logits(net), .lr = 1e-3, .weight_decay = 0.03}});
  optim::CosineLr schedule(opt, {.total_steps = epochs * loader.size(), .warmup_steps = 5});

  double first = 0, last = 0;
  for (int epoch = 0; epoch < epochs; ++epoch)
    for (const auto& [images, labels] : loader) {
      Tensor loss = nn::cross_entropy(net(images), labels);
      opt.zero_grad();
      loss.backward();
      opt.step();
      schedule.step();
      last = loss.item();
      if (first == 0) first = last;
    }
  std::cout << quant::codeq::report(net, {1, 3, 32, 32}) << "\n";
  io::save_safetensors("smallnet.safetensors", net.state_dict());
  std::cout << "loss " << first << " -> " << last << "\n";
  return last < first ? 0 : 1;
}
