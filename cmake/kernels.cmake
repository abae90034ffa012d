# mtyolo_kernels(TARGET STEMS... [OPTIONS flags]): a static library of cuda/<stem>.cu compiled by the host compiler,
# where the emulator stands for the device.
function(mtyolo_kernels target)
  cmake_parse_arguments(arg "" "" "OPTIONS" ${ARGN})
  set(sources)
  foreach(stem ${arg_UNPARSED_ARGUMENTS})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${stem}_simt.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#define MTYOLO_SIMT\n#include \"cuda/${stem}.cu\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(${target} STATIC ${sources})
  # GCC notes that parameters aligned to 64 bytes were once passed otherwise.
  target_compile_options(${target} PUBLIC -Wno-psabi PRIVATE ${arg_OPTIONS})
  target_link_libraries(${target} PUBLIC mtyolo_simt)
endfunction()

# mtyolo_cuda_kernels(STEMS...): the target of that name, which nothing else depends on: cuda/<stem>.cu compiled by nvcc
# for MTYOLO_CUDA_ARCHS, with nvcc's report beside each object (cuda/registers condenses them). No object is linked into
# a program yet; finding nvcc costs a build nothing. Stems of MTYOLO_KERNELS_90A are compiled for 90a alone.
set(MTYOLO_CUDA AUTO CACHE STRING "AUTO: target mtyolo_cuda_kernels where nvcc is found; ON: nvcc must be there; OFF")
set(MTYOLO_CUDA_ARCHS "80;90a" CACHE STRING "of 75 80 86 89 90a 100 120, and ptx for compute_80's PTX")
function(mtyolo_cuda_kernels)
  if(NOT MTYOLO_CUDA)
    return()
  endif()
  find_program(MTYOLO_NVCC nvcc HINTS ${PROJECT_BINARY_DIR}/nvcc/bin /usr/local/cuda/bin)
  if(NOT MTYOLO_NVCC)
    if(MTYOLO_CUDA STREQUAL "ON")
      message(FATAL_ERROR "MTYOLO_CUDA is ON and no nvcc is on the path or in /usr/local/cuda/bin")
    endif()
    return()
  endif()
  set(objects)
  foreach(stem ${ARGN})
    set(archs ${MTYOLO_CUDA_ARCHS})
    if(stem IN_LIST MTYOLO_KERNELS_90A)
      set(archs 90a)
    endif()
    set(targets)
    foreach(arch ${archs})
      if(arch STREQUAL "ptx")
        list(APPEND targets -gencode arch=compute_80,code=compute_80)
      else()
        list(APPEND targets -gencode arch=compute_${arch},code=sm_${arch})
      endif()
    endforeach()
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.cu.o)
    set(report ${CMAKE_CURRENT_BINARY_DIR}/${stem}.ptxas)
    set(compile ${MTYOLO_NVCC} -std=c++20 -O3 -lineinfo -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler=-fPIC -Xptxas=-v
      -I${PROJECT_SOURCE_DIR} ${targets} -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${stem}.cu -o ${object})
    list(JOIN compile " " compile)
    add_custom_command(OUTPUT ${object} BYPRODUCTS ${report} DEPFILE ${object}.d
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${stem}.cu
      COMMAND sh -c "${compile} >${report} 2>&1 || { cat ${report}; exit 1; }" VERBATIM
      COMMENT "nvcc cuda/${stem}.cu")
    list(APPEND objects ${object})
  endforeach()
  add_custom_target(mtyolo_cuda_kernels DEPENDS ${objects})
endfunction()
